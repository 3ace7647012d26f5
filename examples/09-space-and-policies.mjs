/**
 * Space: what a deletion will give back is known to the byte before it is made; a branch at its quota
 * gets "no space" and nobody else notices; a full store does what its policy says, decided before
 * anything is touched: by default it refuses the write, or it drops the oldest snapshot that nothing
 * needs, and says so.
 */
import { nbdUri, pal } from '../scripts/lib/daemon.mjs';
import { servedStore } from '../scripts/lib/served-store.mjs';
import { same, tool } from '../scripts/lib/steps.mjs';

const { store, end } = await servedStore('qemu-io');
const io = (name, command) => tool('qemu-io', '-f', 'raw', '-c', command, nbdUri(store, name));
const fails = async (work) => {
  const said = await work.catch((error) => error.message);
  return /No space left/.test(said);
};

try {
  await pal(store, 'settings', 'grace=0s', 'maximum=80M');
  await pal(store, 'volume', 'create', 'prod', '--size', '64M');
  await io('prod', 'write -f -P 1 0 16M');
  for (const [name, fill] of [
    ['a', 2],
    ['b', 3],
    ['c', 4],
  ]) {
    await pal(store, 'snapshot', 'create', `prod@${name}`);
    await io('prod', `write -f -P ${fill} 0 4M`);
  }
  const used = async () => (await pal(store, 'status')).space.usedBytes;
  const both = await pal(store, 'space', '--delete', 'prod@a', 'prod@b');
  same(both.bytes, 8 << 20, 'bytes that deleting a and b gives back');
  for (const name of ['b', 'a']) {
    const gain = await pal(store, 'space', '--delete', `prod@${name}`);
    same(gain.bytes, 4 << 20, `bytes that deleting ${name} gives back`);
    const before = await used();
    await pal(store, 'snapshot', 'delete', `prod@${name}`, '--yes');
    // The map's own pages come on top.
    const given = before - (await used());
    same(given >= gain.bytes, true, `${given} bytes came back, ${gain.bytes} were foretold`);
  }
  console.log('two snapshots were deleted, the middle one first; each gave back what was foretold');

  await pal(store, 'branch', 'create', 'prod/small', '--from', 'prod@c', '--quota', '1M');
  await io('prod/small', 'write -f -P 9 0 1M');
  same(await fails(io('prod/small', 'write -f -P 9 1M 64k')), true, 'no space at the quota');
  await io('prod', 'write -f -P 5 20M 64k');
  console.log('a branch at its quota is refused, production is not');

  same(await fails(io('prod', 'write -f -P 6 0 64M')), false, 'zeros beneath take no space');
  for (let round = 1; round <= 3; round += 1)
    await pal(store, 'snapshot', 'create', `prod@r${round}`);
  same(await fails(io('prod', 'write -f -P 7 0 64M')), true, 'a full store refuses');
  await pal(store, 'settings', 'full=drop-oldest');
  await pal(store, 'branch', 'delete', 'prod/small', '--yes');
  await io('prod', 'write -f -P 8 0 56M');
  const left = (await pal(store, 'snapshot', 'list', 'prod')).items.map(({ name }) => name);
  console.log(`by policy the oldest went; left: ${left.join(', ')}`);
  const dropped = (await pal(store, 'log')).items.filter(({ kind }) => kind === 'drop');
  same(dropped.length > 0, true, 'the log says what was dropped');
} finally {
  await end();
}
