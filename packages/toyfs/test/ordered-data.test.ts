/**
 * Goal: no crash shows a file with bytes that were never written to it (ordered data, J1, O3).
 * Method: the device is full of rubbish before it is formatted. Each file has bytes of one kind, and files
 * are made, extended and removed. Whenever the device is written to or flushed, we look at the worst that a
 * crash then may leave: what was flushed and, of what was not, one write alone, or all but one. Every file
 * that is there has its own bytes only.
 */
import { type BlockDevice, checked } from '@palimpsest/block-device';
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { format, openFileSystem, ROOT_INO } from '../src/index.js';
import { contentOf, entriesOf } from './support/tree.js';

const BLOCK = 4096;
const SIZE = 12 << 20;
const RUBBISH = 0xee;

/** An image in memory: what was written, and what of it a crash cannot take. */
class Disk {
  readonly visible: Uint8Array = new Uint8Array(SIZE).fill(RUBBISH);
  durable: Uint8Array = this.visible.slice();
  /** Files seen in images that a crash may leave. */
  seen = 0;
  readonly #pending: { position: number; length: number }[] = [];
  #looking: Promise<void> = Promise.resolve();

  device(isWatched: boolean): BlockDevice {
    return checked({
      ...{ blockSize: BLOCK, size: SIZE, readOnly: false },
      readInto: (target, position) =>
        void target.set(this.visible.subarray(position, position + target.length)),
      write: async (source, position) => {
        const bytes = source.slice();
        if (isWatched) await this.#look(this.durable, bytes, position);
        this.visible.set(bytes, position);
        this.#pending.push({ position, length: bytes.length });
      },
      zero: (position, length) => void this.visible.fill(0, position, position + length),
      flush: async () => {
        const now = this.visible.slice();
        const pending = this.#pending.splice(0);
        for (const { position, length } of isWatched ? pending : []) {
          await this.#look(now, this.durable.subarray(position, position + length), position);
        }
        await this.#looking;
        this.durable = now;
      },
      close: () => Promise.resolve(),
    });
  }

  /** Looks at an image with other bytes in one place. */
  #look(whole: Uint8Array, bytes: Uint8Array, position: number): Promise<void> {
    this.#looking = this.#looking.then(async () => {
      const image = whole.slice();
      image.set(bytes, position);
      const device = checked({
        ...{ blockSize: BLOCK, size: SIZE, readOnly: true },
        readInto: (target, at) => void target.set(image.subarray(at, at + target.length)),
        write: () => undefined,
        zero: () => undefined,
        flush: () => undefined,
        close: () => Promise.resolve(),
      });
      this.seen += await assertOwnBytes(device);
    });
    return this.#looking;
  }
}

/** Opens an image; answers how many files it has. */
async function assertOwnBytes(device: BlockDevice): Promise<number> {
  const fs = await openFileSystem(device, { readOnly: true, timer: undefined });
  let files = 0;
  for await (const { name, ino } of entriesOf(fs, ROOT_INO)) {
    if ((await fs.getattr(ino)).type !== 'file') continue;
    const own = Number(Buffer.from(name).toString());
    const foreign = (await contentOf(fs, ino)).find((byte) => byte !== own);
    if (foreign !== undefined) throw new Error(`file ${own} has a byte ${foreign} after a crash`);
    files++;
  }
  await fs.close();
  return files;
}

test('a crash shows no bytes that were not written to the file', async () => {
  const random = createRandom('ordered data');
  const disk = new Disk();
  await format(disk.device(false), { journalBytes: 4 << 20 });
  disk.durable = disk.visible.slice();
  const fs = await openFileSystem(disk.device(true), { timer: undefined });
  const sizes = new Map<number, { ino: number; size: number }>();
  for (let step = 0; step < 40; step++) {
    const own = 1 + random.below(8);
    const name = Buffer.from(String(own));
    const file = sizes.get(own);
    const bytes = Buffer.alloc(1 + random.below(30_000), own);
    if (file === undefined) {
      const ino = await fs.create(ROOT_INO, name, { mode: 0o644 });
      await fs.write(ino, bytes, 0);
      sizes.set(own, { ino, size: bytes.length });
    } else if (random.chance(0.4)) {
      await fs.unlink(ROOT_INO, name);
      sizes.delete(own);
    } else {
      await fs.write(file.ino, bytes, file.size);
      sizes.set(own, { ino: file.ino, size: file.size + bytes.length });
    }
    if (random.chance(0.3)) await fs.sync();
  }
  await fs.close();
  expect(disk.seen).toBeGreaterThan(100);
});
