/**
 * What is measured beside each other: file systems with the API of `fs.promises`. Each is opened in a
 * process of its own; `count` is how many small files it gets, fewer where it is slow.
 */
import { mkdirSync } from 'node:fs';
import nodeFs from 'node:fs/promises';
import { join } from 'node:path';
import { openFileDevice } from '../../packages/block-device-file/dist/index.js';
import { format, fsPromises, openFileSystem } from '../../packages/toyfs/dist/index.js';

/** Bytes of the volume that toyfs and ZenFS's single buffer get. */
const VOLUME = 2 ** 31;
const BUFFER = 2 ** 28;

/**
 * @typedef {object} Opened
 * @property {typeof import('node:fs/promises')} fs
 * @property {string} root a directory to work in
 * @property {() => Promise<void>} settle what was written goes where it goes
 * @property {() => Promise<void>} close
 */

/**
 * @typedef {object} Subject
 * @property {string} name
 * @property {number} count
 * @property {number} megabytes of the large file
 * @property {boolean} [isDurable] `flush: true` means something
 * @property {(dir: string) => Promise<Opened>} open
 */

/** toyfs on a file, with a journal, as `format` makes it. */
export async function openToyfs(dir, { size = VOLUME, name = 'volume.img', ...options } = {}) {
  const device = await openFileDevice(join(dir, name), { create: { size } });
  await format(device, options);
  const vfs = await openFileSystem(device, { closeDevice: true });
  return {
    fs: fsPromises(vfs),
    vfs,
    root: '/',
    settle: () => vfs.sync(),
    close: () => vfs.close(),
  };
}

async function openMemfs() {
  const { memfs } = await import('memfs');
  return { fs: memfs().fs.promises, root: '/', settle: async () => {}, close: async () => {} };
}

async function openZenfs(backend) {
  const { configureSingle, fs, InMemory, SingleBuffer } = await import('@zenfs/core');
  const options = backend === 'InMemory' ? {} : { buffer: new ArrayBuffer(BUFFER) };
  await configureSingle({ backend: backend === 'InMemory' ? InMemory : SingleBuffer, ...options });
  return { fs: fs.promises, root: '/', settle: async () => {}, close: async () => {} };
}

async function openNode(dir) {
  const root = join(dir, 'tree');
  mkdirSync(root);
  return { fs: nodeFs, root, settle: async () => {}, close: async () => {} };
}

/** @type {readonly Subject[]} */
export const SUBJECTS = [
  { name: 'toyfs', count: 10_000, megabytes: 100, isDurable: true, open: openToyfs },
  { name: 'memfs', count: 10_000, megabytes: 100, open: openMemfs },
  { name: 'ZenFS InMemory', count: 500, megabytes: 50, open: () => openZenfs('InMemory') },
  { name: 'ZenFS SingleBuffer', count: 200, megabytes: 10, open: () => openZenfs('SingleBuffer') },
  { name: 'node:fs', count: 10_000, megabytes: 100, isDurable: true, open: openNode },
];
