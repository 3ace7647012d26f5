/**
 * Branches of branches: five deep, each with a block of its own; then one is refreshed, one is made
 * independent, and the deepest becomes production. Content is checked with qemu-io at every step.
 */
import { nbdUri, pal } from '../scripts/lib/daemon.mjs';
import { servedStore } from '../scripts/lib/served-store.mjs';
import { tool } from '../scripts/lib/steps.mjs';

const { store, end } = await servedStore('qemu-io');
const io = async (name, command) => {
  const said = await tool('qemu-io', '-f', 'raw', '-c', command, nbdUri(store, name));
  if (/verification failed|error/i.test(said)) throw new Error(`${name}: ${command}\n${said}`);
};
const holds = (name, slot, fill) => io(name, `read -P ${fill} ${slot}M 1M`);
const DEPTH = 5;

try {
  await pal(store, 'volume', 'create', 'prod', '--size', '16M');
  await io('prod', 'write -f -P 9 0 1M');
  for (let depth = 1; depth <= DEPTH; depth += 1) {
    // Of a volume or branch, a snapshot is taken first.
    const from = depth === 1 ? 'prod' : `prod/b${depth - 1}`;
    await pal(store, 'branch', 'create', `b${depth}`, '--from', from);
    await io(`prod/b${depth}`, `write -f -P ${depth} ${depth}M 1M`);
  }
  await holds(`prod/b${DEPTH}`, 0, 9);
  for (let slot = 1; slot <= DEPTH; slot += 1) await holds(`prod/b${DEPTH}`, slot, slot);
  console.log(`${DEPTH} deep, the last branch reads what each before it wrote`);

  await pal(store, 'branch', 'refresh', 'prod/b2', '--from', 'prod@latest');
  await holds('prod/b2', 2, 0);
  await holds(`prod/b${DEPTH}`, 2, 2);
  console.log('the second is refreshed; those above it have not noticed');

  await pal(store, 'branch', 'flatten', 'prod/b4', '--wait');
  await holds('prod/b4', 3, 3);
  await pal(store, 'promote', `prod/b${DEPTH}`, '--wait');
  for (let slot = 1; slot <= DEPTH; slot += 1) await holds('prod', slot, slot);
  console.log('the fourth stands alone; production is what the last branch was');
} finally {
  await end();
}
