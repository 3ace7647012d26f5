/**
 * What toyfs alone is asked: how long opening, replaying and freezing take, and whether a large directory
 * makes its files dear. Answers milliseconds, and thousands of files a second.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { openFileDevice } from '../../packages/block-device-file/dist/index.js';
import { format, openFileSystem, ROOT_INO } from '../../packages/toyfs/dist/index.js';
import { openToyfs } from './subjects.mjs';
import { seconds, smallFiles } from './work.mjs';

const LARGE_VOLUME = 10 * 2 ** 30;
const VOLUME = 2 ** 30;
const JOURNAL = 32 << 20;
const DIRTY = 15 << 20;
/** Flushes of the device until its journal is as full as it gets: two a commit, one more for the first. */
const FLUSHES = 7;

/** Milliseconds to open an image, and how many transactions that replayed. */
async function openAgain(path) {
  let vfs;
  const took = await seconds(async () => {
    vfs = await openFileSystem(await openFileDevice(path), { closeDevice: true });
  });
  const { replayed } = vfs.report;
  await vfs.close();
  return { ms: took * 1000, replayed };
}

/** How long it takes to open a closed volume of 10 GiB. */
async function open(dir) {
  const path = join(dir, 'large.img');
  await (await openToyfs(dir, { size: LARGE_VOLUME, name: 'large.img' })).close();
  const { ms } = await openAgain(path);
  rmSync(path);
  return ms;
}

/** How long changes wait for a freeze with some 16 MiB to be written. */
async function freeze(dir) {
  const { vfs, fs, close } = await openToyfs(dir, { name: 'freeze.img' });
  await fs.mkdir('/names');
  for (let n = 0; n < 1000; n += 1) await fs.writeFile(`/names/${n}`, 'small');
  await vfs.sync();
  await fs.writeFile('/dirty', Buffer.alloc(DIRTY, 1));
  for (let n = 0; n < 1000; n += 10) await fs.writeFile(`/names/${n}`, 'other');
  const took = await seconds(() => vfs.freeze({}));
  await vfs.thaw();
  await close();
  rmSync(join(dir, 'freeze.img'));
  return took * 1000;
}

/** Opening what a crash left: a journal that is as full as it gets, three quarters, before its blocks went home. */
async function replay(dir) {
  const path = join(dir, 'dirty.img');
  const device = await openFileDevice(path, { create: { size: VOLUME } });
  await format(device, { journalBytes: JOURNAL });
  const vfs = await openFileSystem(dying(device), { timer: undefined });
  try {
    // Each directory is a block of the journal.
    for (let n = 0; ; n += 1) await vfs.mkdir(ROOT_INO, Buffer.from(`${n}`), { mode: 0o755 });
  } catch (error) {
    if (error.code !== 'EROFS' && error.code !== 'EIO') throw error;
  }
  await device.close();
  const { ms, replayed } = await openAgain(path);
  rmSync(path);
  return { ms, replayed };
}

/** The device, which fails after so many flushes. */
function dying(device) {
  let flushes = 0;
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name === 'flush') {
        return async () => {
          await target.flush();
          flushes += 1;
        };
      }
      return (...args) => {
        if (flushes >= FLUSHES && name === 'write') throw new Error('the power is gone');
        return value.apply(target, args);
      };
    },
  });
}

/** Opening, replaying and freezing, in milliseconds. */
export async function times(dir) {
  const replayed = await replay(dir);
  return {
    open: await open(dir),
    replay: replayed.ms,
    replayed: replayed.replayed,
    freeze: await freeze(dir),
  };
}

/** Rates in a directory of so many files. */
export async function largeDirectory(dir, count) {
  const opened = await openToyfs(dir, { inodeRatio: 8192 });
  await smallFiles(opened, 'first', 4000);
  const rates = await smallFiles(opened, 'files', count);
  await opened.close();
  rmSync(join(dir, 'volume.img'));
  return rates;
}
