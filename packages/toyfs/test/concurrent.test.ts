/**
 * Goal: operations that run at once, on a device that takes its time and a cache that is too small,
 * are each whole.
 * Method: workers make, write, read, shorten, rename and remove files of their own, side by side, with
 * fsync, freezes and a reader of everything among them; each checks its own, e2fsck the whole.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { format, openFileSystem, ROOT_INO } from '../src/index.js';
import { complaints, hasTools } from './support/tools.js';
import { contentOf, treeOf } from './support/tree.js';

const WORKERS = 8;

for (const seed of [1, 2, 3]) {
  test(`workers side by side, ${seed}`, async () => {
    const memory = createMemoryDevice({ blockSize: 4096, size: 16 << 20 });
    await format(memory);
    const device = jitter(memory, { random: createRandom(`jitter ${seed}`) });
    const fs = await openFileSystem(device, { timer: undefined, cacheBytes: 1 << 18 });
    let isDone = false;
    const work = async (worker: number): Promise<Map<string, Buffer>> => {
      const random = createRandom(`worker ${seed} ${worker}`);
      const directory = await fs.mkdir(ROOT_INO, Buffer.from(`w${worker}`), { mode: 0o755 });
      const files = new Map<string, { ino: number; bytes: Buffer }>();
      for (let i = 0; i < 60; i++) {
        const name = `f${random.below(8)}`;
        const file = files.get(name);
        if (file === undefined) {
          const ino = await fs.create(directory, Buffer.from(name), { mode: 0o644 });
          files.set(name, { ino, bytes: Buffer.alloc(0) });
          continue;
        }
        const { ino, bytes } = file;
        const kind = random.below(7);
        if (kind < 3) {
          const at = random.below(bytes.length + 5000);
          const source = Buffer.alloc(1 + random.below(60_000), `${seed}/${worker}/${i} `);
          await fs.write(ino, source, at);
          const after = Buffer.alloc(Math.max(bytes.length, at + source.length));
          bytes.copy(after);
          source.copy(after, at);
          files.set(name, { ino, bytes: after });
        } else if (kind === 3) {
          expect(bytes.equals(await contentOf(fs, ino))).toBe(true);
        } else if (kind === 4) {
          const size = random.below(bytes.length + 1);
          await fs.setattr(ino, { size });
          files.set(name, { ino, bytes: bytes.subarray(0, size) });
        } else if (kind === 5) {
          await fs.unlink(directory, Buffer.from(name));
          files.delete(name);
        } else {
          const to = `f${random.below(8)}`;
          await fs.rename(directory, Buffer.from(name), directory, Buffer.from(to));
          files.delete(name);
          files.set(to, file);
        }
        if (random.chance(0.15)) await fs.fsync(directory);
      }
      return new Map([...files].map(([name, { bytes }]) => [name, bytes]));
    };
    const disturb = async (): Promise<void> => {
      while (!isDone) {
        await fs.freeze();
        await fs.thaw();
        await treeOf(fs).catch((error: unknown) => {
          // A name that it read may be gone when it looks.
          if (!String(error).includes('inode') && !String(error).includes('read ')) throw error;
        });
      }
    };
    const disturbing = disturb();
    const results = await Promise.all(
      Array.from({ length: WORKERS }, (_, worker) => work(worker)),
    ).finally(() => {
      isDone = true;
    });
    await disturbing;
    for (const [worker, files] of results.entries()) {
      const directory = await fs.lookup(ROOT_INO, Buffer.from(`w${worker}`));
      expect(await fs.readdir(directory, 0, 100)).toHaveLength(files.size + 2);
      for (const [name, bytes] of files) {
        const ino = await fs.lookup(directory, Buffer.from(name));
        expect(bytes.equals(await contentOf(fs, ino))).toBe(true);
      }
    }
    await fs.close();
    if (hasTools) expect(await complaints(memory)).toBe('');
  });
}
