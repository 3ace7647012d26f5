/**
 * The work that every file system is given through its `fs.promises`: small files one at a time, each call
 * awaited, and one large file in pieces of 1 MiB. Answers rates: thousands of calls, or MiB, a second.
 */
import { join } from 'node:path';
import { generator } from '../in-process/measure.mjs';

const SMALL = Buffer.alloc(100, 0x61);
const PIECE = 1 << 20;
const PAGE = 4096;
/** Of each large file, so many random writes of 4 KiB for each MiB. */
const RANDOM_PER_MIB = 20;

/** Seconds that `work` takes. */
export async function seconds(work) {
  const from = performance.now();
  await work();
  return (performance.now() - from) / 1000;
}

/** Runs `call` for each name and answers thousands of calls a second. */
async function each(names, call) {
  const took = await seconds(async () => {
    for (const name of names) await call(name);
  });
  return names.length / took / 1000;
}

/** @param {import('./subjects.mjs').Opened} opened */
export async function smallFiles({ fs, root, settle }, directory, count) {
  const dir = join(root, directory);
  await fs.mkdir(dir);
  const names = Array.from({ length: count }, (_, n) => join(dir, `file-${n}`));
  const rates = {};
  rates.create = await each(names, (name) => fs.writeFile(name, SMALL));
  await settle(); // what is written behind a call's back is not the next call's
  rates.stat = await each(names, (name) => fs.stat(name));
  rates.read = await each(names, (name) => fs.readFile(name));
  rates.rename = await each(names, (name) => fs.rename(name, `${name}.new`));
  rates.unlink = await each(names, (name) => fs.unlink(`${name}.new`));
  await settle();
  await fs.rmdir(dir);
  return rates;
}

/** @param {import('./subjects.mjs').Opened} opened */
export async function largeFile({ fs, root, settle }, megabytes) {
  const path = join(root, 'large');
  const handle = await fs.open(path, 'w+');
  const piece = Buffer.alloc(PIECE, 0x62);
  const target = Buffer.alloc(PIECE);
  const rates = {};
  const pieces = async (call) => {
    for (let n = 0; n < megabytes; n += 1) await call(n * PIECE);
  };
  rates.write =
    megabytes / (await seconds(() => pieces((at) => handle.write(piece, 0, PIECE, at))));
  await settle();
  rates.read = megabytes / (await seconds(() => pieces((at) => handle.read(target, 0, PIECE, at))));
  const random = generator(7);
  const writes = megabytes * RANDOM_PER_MIB;
  const places = Array.from(
    { length: writes },
    () => Math.floor((random() * megabytes * PIECE) / PAGE) * PAGE,
  );
  rates.random = await each(places, (at) => handle.write(piece, 0, PAGE, at));
  await settle();
  await handle.close();
  await fs.unlink(path);
  await settle();
  return rates;
}

/** Makes files that are durable when their call resolves, `depth` at a time; thousands a second. */
export async function durableFiles({ fs, root, settle }, directory, count, depth) {
  const dir = join(root, directory);
  await fs.mkdir(dir);
  let next = 0;
  const worker = async () => {
    while (next < count) await fs.writeFile(join(dir, `file-${next++}`), SMALL, { flush: true });
  };
  const took = await seconds(() => Promise.all(Array.from({ length: depth }, worker)));
  for (let n = 0; n < count; n += 1) await fs.unlink(join(dir, `file-${n}`));
  await settle();
  await fs.rmdir(dir);
  return count / took / 1000;
}
