/**
 * Goal: the difference of two states names each path that differs and no other, and what is not in
 * use may hold anything.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { diff, type FileSystem, format, openFileSystem, ROOT_INO } from '../src/index.js';
import { EMPTY, step } from './support/history.js';
import { find, treeOf } from './support/tree.js';

async function copyOf(device: BlockDevice): Promise<BlockDevice> {
  const copy = createMemoryDevice({ size: device.size });
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  await copy.write(bytes, 0);
  return copy;
}

/** A file system with a history, and a clock that never stands still. */
async function made(steps: number): Promise<{ device: BlockDevice; fs: FileSystem }> {
  const device = createMemoryDevice({ size: 8 << 20 });
  await format(device);
  let now = 1e12;
  const fs = await openFileSystem(device, { timer: undefined, now: () => (now += 0.001) });
  const random = createRandom('diff');
  let state = EMPTY;
  for (let i = 0; i < steps; i++) ({ state } = await step(fs, state, random));
  return { device, fs };
}

test('the difference of two states', async () => {
  const { device, fs } = await made(60);
  await fs.mkdir(ROOT_INO, Buffer.from('kept'), { mode: 0o755 });
  const kept = await find(fs, 'kept');
  const file = await fs.create(kept, Buffer.from('file'), { mode: 0o644 });
  await fs.create(kept, Buffer.from('goes'), { mode: 0o644 });
  await fs.freeze();
  const before = await openFileSystem(await copyOf(device), { readOnly: true });
  await fs.thaw();
  await fs.write(file, Buffer.from('new'), 0);
  await fs.unlink(kept, Buffer.from('goes'));
  const deep = await fs.mkdir(kept, Buffer.from('deep'), { mode: 0o755 });
  await fs.create(deep, Buffer.from('in it'), { mode: 0o644 });
  await fs.setattr(kept, { mode: 0o700 });
  const found: string[] = [];
  for await (const { kind, path } of diff(before, fs)) {
    found.push(`${kind} ${Buffer.from(path).toString()}`);
  }
  expect(found.sort()).toEqual([
    'added /kept/deep',
    'added /kept/deep/in it',
    'changed /kept',
    'changed /kept/file',
    'removed /kept/goes',
  ]);
  for await (const each of diff(before, before)) expect(each).toBeUndefined();
});

test('blocks that are not in use may hold anything', async () => {
  const { device, fs } = await made(120);
  await fs.freeze();
  const used = await fs.usedBlocks();
  const copy = createMemoryDevice({ size: device.size });
  await copy.write(new Uint8Array(device.size).fill(0xdb), 0);
  for (const { position, length } of used) {
    const bytes = new Uint8Array(length);
    await device.readInto(bytes, position);
    await copy.write(bytes, position);
  }
  const bytesUsed = used.reduce((sum, { length }) => sum + length, 0);
  const { freeBlocks, blockSize } = await fs.statfs();
  expect(bytesUsed).toBe(device.size - freeBlocks * blockSize);
  const again = await openFileSystem(copy, { readOnly: true });
  expect(await treeOf(again)).toEqual(await treeOf(fs));
});
