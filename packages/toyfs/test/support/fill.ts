/**
 * A file system of ours with one of everything that we write.
 */
import { type FileSystem, ROOT_INO } from '../../src/index.js';

const name = (text: string): Buffer => Buffer.from(text);

/** Fills a new file system. */
export async function fill(fs: FileSystem): Promise<void> {
  const directory = await fs.mkdir(ROOT_INO, name('directory'), { mode: 0o755 });
  for (let i = 0; i < 300; i++) {
    const file = await fs.create(directory, name(`file number ${i}`), { mode: 0o644, uid: 70_000 });
    await fs.write(file, Buffer.from(`content ${i}`), 0);
  }
  const big = await fs.create(directory, name('big'), { mode: 0o4600 });
  await fs.write(big, Buffer.alloc(3_000_000, 'big'), 1_000_000);
  const scattered = await fs.create(directory, name('scattered'), { mode: 0o600 });
  for (let i = 0; i < 30; i++) await fs.write(scattered, Buffer.from('here'), i * 20_000);
  await fs.symlink(directory, name('short'), name('target'), {});
  await fs.symlink(directory, name('long'), name('t'.repeat(500)), {});
  await fs.mknod(directory, name('pipe'), { type: 'fifo', mode: 0o600 });
  await fs.mknod(directory, name('null'), { type: 'character-device', mode: 0o666, rdev: 0x103 });
  await fs.link(big, ROOT_INO, name('second name'));
  await fs.rename(directory, name('file number 7'), ROOT_INO, name('seven'));
  await fs.unlink(directory, name('file number 8'));
  await fs.setXattr(big, 'user.hello', name('world'));
  await fs.setXattr(big, 'user.long', Buffer.alloc(2000, 'w'));
  await fs.setXattr(big, 'trusted.t', Buffer.alloc(1000, 't'));
}
