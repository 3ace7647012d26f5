/**
 * Our server as users run it: the built daemon, with a store on disk. Every image starts with the
 * same bytes as the peers', all allocated.
 */
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { control, nbdSocket, nbdUri, pal, startDaemon } from '../../scripts/lib/daemon.mjs';
import { asClient, chill, overwrite } from './targets.mjs';

/** @typedef {import('./targets.mjs').Target} Target */

const BLOCK = 4096;

/** Bytes a second that the restore of the rows copies back: it must outlast a measurement. */
const RESTORE_RATE = 8 << 20;

/**
 * Our daemon, with a volume without snapshots (`plain`), one with a growing number of them (`prod`),
 * branches that are made anew before each measurement of new writes, and a volume to be restored.
 * @param {string} directory
 * @param {object} options
 * @param {string} options.image
 * @param {number} options.snapshots
 * @param {string} [options.profile] a directory
 * @param {(at: number) => Promise<void>} [options.whileGrowing] called with the queue at 1, 10, 100 ...
 */
export async function startOurs(directory, { image, snapshots, profile, whileGrowing }) {
  const store = join(directory, 'store');
  await pal(store, 'init', store);
  const paths = {};
  for (const name of ['plain', 'prod', 'back']) {
    paths[name] = join(directory, `${name}.img`);
    await copyFile(image, paths[name]);
    await pal(store, 'volume', 'adopt', paths[name], '--name', name);
  }
  let log = '';
  const nodeArgs = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const daemon = await startDaemon(store, { nodeArgs, log: (text) => (log += text) });
  const { pid } = daemon;
  const at = (name) => () => ({ uri: nbdUri(store, name), pid, socket: nbdSocket(store), name });
  const production = () => [paths.prod];
  const save = join(store, 'save.pal');
  const saved = () => [paths.prod, save];
  let taken = 0;
  let branches = 0;
  let nested = 0;
  const group = {
    store,
    at,
    save,
    saved,
    /** @type {Record<string, Target>} */
    targets: {
      'ours: production': { at: at('plain'), reads: () => [paths.plain] },
      'ours: production, cold': { at: at('plain'), prepare: () => chill([paths.plain]) },
      'ours: production with snapshots': { at: at('prod'), reads: production },
      'ours: first writes': {
        at: at('prod'),
        reads: production,
        async prepare() {
          taken += 1;
          await control.createSnapshot(store, `prod@r${taken}`);
        },
      },
      'ours: oldest snapshot': { at: at('prod@q1'), reads: saved },
      'ours: youngest snapshot': { at: at(`prod@q${snapshots}`), reads: saved },
      'ours: new branch': {
        at: () => at(`prod/b${branches}`)(),
        async prepare() {
          branches += 1;
          await control.createBranch(store, `prod/b${branches}`, 'prod@q1');
        },
      },
      'ours: newest branch': { at: () => at(`prod/b${branches}`)(), reads: saved },
      'ours: new branch of a branch': {
        at: () => at(`prod/n${nested}`)(),
        async prepare() {
          nested += 1;
          await control.createSnapshot(store, `prod/b${branches}@n${nested}`);
          await control.createBranch(store, `prod/n${nested}`, `prod/b${branches}@n${nested}`);
        },
      },
      'ours: newest branch of a branch': { at: () => at(`prod/n${nested}`)(), reads: saved },
      'ours: during a restore': {
        at: at('back'),
        reads: () => [paths.back, save],
        prepare: () => control.restore(store, 'back', 'back@s', { bytesPerSecond: RESTORE_RATE }),
        async after() {
          await control.cancelRestore(store, 'back');
          // It copies back what was restored: not beside the next measurement.
          while ((await control.restores(store)).length > 0) await sleep(10);
        },
      },
    },
    async stop() {
      await daemon.stop();
      if (/^\S+Z (?:warn|error) /m.test(log)) console.error(`the daemon said:\n${log}`);
    },
  };
  try {
    await growQueue(store, snapshots, whileGrowing && ((count) => whileGrowing(group, count)));
    await group.targets['ours: new branch'].prepare();
    await group.targets['ours: new branch of a branch'].prepare();
    await differ(store, 'back');
  } catch (error) {
    await group.stop();
    throw error;
  }
  return group;
}

/** Makes `count` snapshots of `prod` with 64 changed blocks between each two. */
async function growQueue(store, count, told) {
  const bytes = Buffer.alloc(BLOCK);
  for (let snapshot = 1; snapshot <= count; snapshot += 1) {
    await control.createSnapshot(store, `prod@q${snapshot}`);
    bytes.fill(snapshot);
    await asClient(nbdSocket(store), 'prod', async (client) => {
      const blocks = client.size / BLOCK;
      const writes = [];
      for (let n = 0; n < 64; n += 1) {
        const block = (snapshot * 7919 + n * 104_729) % blocks;
        writes.push(client.write(block * BLOCK, bytes));
      }
      await Promise.all(writes);
    });
    if (told !== undefined && Number.isInteger(Math.log10(snapshot))) await told(snapshot);
  }
}

/** Takes the snapshot `s` of a volume and changes every byte after it. */
async function differ(store, name) {
  await control.createSnapshot(store, `${name}@s`);
  await overwrite({ socket: nbdSocket(store), name }, 0, 1);
}
