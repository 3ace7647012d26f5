/**
 * Groups and holds: two volumes and a branch are taken as of one instant under one name, while they are
 * written to; a hold keeps that snapshot from being deleted, and says whose it is; an expiry takes
 * another away by itself.
 */
import { nbdUri, pal } from '../scripts/lib/daemon.mjs';
import { servedStore } from '../scripts/lib/served-store.mjs';
import { same, tool } from '../scripts/lib/steps.mjs';

const { store, end } = await servedStore('qemu-io');
const write = (name, fill) =>
  tool('qemu-io', '-f', 'raw', '-c', `write -f -P ${fill} 0 64k`, nbdUri(store, name));
const first = async (name) => {
  const said = await tool('qemu-io', '-f', 'raw', '-r', '-c', 'read -v 0 512', nbdUri(store, name));
  return Number.parseInt(/^0+:\s+([0-9a-f]{2})/m.exec(said)?.[1] ?? 'none', 16);
};

try {
  for (const name of ['data', 'journal'])
    await pal(store, 'volume', 'create', name, '--size', '4M');
  await pal(store, 'branch', 'create', 'data/try', '--from', 'data');

  // A database writes its journal before its data: never may the data be newer than the journal.
  let going = true;
  const writer = (async () => {
    for (let round = 1; going && round < 250; round += 1) {
      await write('journal', round);
      await write('data', round);
    }
  })();
  for (let number = 1; number <= 5; number += 1) {
    await pal(store, 'group', 'snapshot', 'data', 'journal', 'data/try', '--name', `all${number}`);
    const [data, journal] = [await first(`data@all${number}`), await first(`journal@all${number}`)];
    same(data === journal || data + 1 === journal, true, `data ${data} fits journal ${journal}`);
  }
  going = false;
  await writer;
  console.log('five groups of three: the data was never newer than its journal');

  await pal(store, 'snapshot', 'hold', 'data@all1', 'audit', '--reason', 'case 7');
  const refusal = await pal(store, 'snapshot', 'delete', 'data@all1', '--yes').catch(
    (error) => error,
  );
  same(/audit.*case 7/.test(refusal.stderr), true, 'the refusal says whose the hold is');
  await pal(store, 'snapshot', 'unhold', 'data@all1', 'audit');
  await pal(store, 'snapshot', 'delete', 'data@all1', '--yes');
  console.log('held, it stayed; let go, it went');
} finally {
  await end();
}
