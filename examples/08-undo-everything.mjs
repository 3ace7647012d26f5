/**
 * Undo: a deletion, a refresh and a restore are each taken back with one command, and an undo can be
 * undone. The content is looked at through an NBD client, with qemu-io, after every step.
 */
import { nbdUri, pal } from '../scripts/lib/daemon.mjs';
import { servedStore } from '../scripts/lib/served-store.mjs';
import { same, tool } from '../scripts/lib/steps.mjs';

const { store, end } = await servedStore('qemu-io');
const io = async (name, command) => {
  const said = await tool('qemu-io', '-f', 'raw', '-c', command, nbdUri(store, name));
  if (/verification failed|error/i.test(said)) throw new Error(`${name}: ${command}\n${said}`);
};
const holds = (name, fill) => io(name, `read -P ${fill} 0 1M`);
const write = (name, fill) => io(name, `write -f -P ${fill} 0 1M`);

try {
  await pal(store, 'volume', 'create', 'prod', '--size', '16M');
  await write('prod', 1);
  await pal(store, 'snapshot', 'create', 'prod@monday');
  await pal(store, 'branch', 'create', 'dev', '--from', 'prod@monday');
  await write('prod/dev', 7);
  await write('prod', 2);

  await pal(store, 'branch', 'delete', 'prod/dev', '--yes');
  await pal(store, 'undo');
  await holds('prod/dev', 7);
  console.log('a deleted branch is back, with what was written to it');

  await pal(store, 'branch', 'refresh', 'prod/dev', '--from', 'prod@monday');
  await holds('prod/dev', 1);
  await pal(store, 'undo');
  await holds('prod/dev', 7);
  console.log('a refreshed branch is what it was');

  await pal(store, 'restore', 'prod', '--from', 'prod@monday', '--wait');
  await holds('prod', 1);
  const back = await pal(store, 'undo');
  await holds('prod', 2);
  await pal(store, 'undo', String(back.id));
  await holds('prod', 1);
  console.log('a restore is undone, and the undo too');

  const { items } = await pal(store, 'log');
  same(items.filter(({ kind }) => kind === 'restore').length, 3, 'restores in the log');
  console.log(items.map(({ id, by, kind, target }) => `${id} ${by} ${kind} ${target}`).join('\n'));
} finally {
  await end();
}
