/**
 * Goal: whatever cannot be done answers the right code, and what was there before is still there.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type FileSystem, format, openFileSystem, ROOT_INO } from '../src/index.js';
import { complaints, hasTools } from './support/tools.js';
import { contentOf, treeOf } from './support/tree.js';

const name = (text: string): Buffer => Buffer.from(text);

/** Expects a call to fail, thrown at once or rejected. */
async function refuses(code: string, call: () => unknown): Promise<void> {
  await expect((async () => await call())()).rejects.toMatchObject({ code });
}

async function made(
  options: Parameters<typeof format>[1] = {},
  size = 8 << 20,
): Promise<{ device: ReturnType<typeof createMemoryDevice>; fs: FileSystem }> {
  const device = createMemoryDevice({ size });
  await format(device, options);
  return { device, fs: await openFileSystem(device, { timer: undefined }) };
}

describe('refusals', () => {
  let fs: FileSystem;
  let directory: number;
  let file: number;
  beforeAll(async () => {
    ({ fs } = await made());
    directory = await fs.mkdir(ROOT_INO, name('directory'), { mode: 0o755 });
    file = await fs.create(directory, name('file'), { mode: 0o644 });
    await fs.write(file, name('content'), 0);
  });
  afterAll(async () => {
    expect(Object.keys(await treeOf(fs))).toEqual(['/directory', '/directory/file']);
    await fs.close();
  });

  test('names', async () => {
    await refuses('ENAMETOOLONG', () =>
      fs.create(ROOT_INO, name('x'.repeat(256)), { mode: 0o644 }),
    );
    await refuses('ENAMETOOLONG', () => fs.lookup(ROOT_INO, name('x'.repeat(256))));
    await refuses('EINVAL', () => fs.create(ROOT_INO, name('a/b'), { mode: 0o644 }));
    await refuses('EINVAL', () => fs.create(ROOT_INO, name('a\0b'), { mode: 0o644 }));
    await refuses('ENOENT', () => fs.create(ROOT_INO, name(''), { mode: 0o644 }));
    await refuses('ENOENT', () => fs.lookup(ROOT_INO, name('absent')));
    await refuses('ENOTDIR', () => fs.lookup(file, name('a')));
    await refuses('EEXIST', () => fs.mkdir(ROOT_INO, name('directory'), { mode: 0o755 }));
    await refuses('EEXIST', () => fs.create(ROOT_INO, name('.'), { mode: 0o644 }));
  });

  test('directories and files', async () => {
    await refuses('ENOTEMPTY', () => fs.rmdir(ROOT_INO, name('directory')));
    await refuses('ENOTEMPTY', () => fs.rmdir(directory, name('..')));
    await refuses('EINVAL', () => fs.rmdir(directory, name('.')));
    await refuses('ENOTDIR', () => fs.rmdir(directory, name('file')));
    await refuses('EISDIR', () => fs.unlink(ROOT_INO, name('directory')));
    await refuses('EISDIR', () => fs.read(directory, Buffer.alloc(1), 0));
    await refuses('EISDIR', () => fs.setattr(directory, { size: 0 }));
    await refuses('EPERM', () => fs.link(directory, ROOT_INO, name('again')));
    await refuses('EINVAL', () => fs.readlink(file));
    await refuses('ENOENT', () => fs.getattr(4711));
    await refuses('ENOENT', () => fs.getattr(8));
    await refuses('ENOENT', () => fs.getattr(2 ** 31));
    await refuses('EBADF', () => fs.release(file));
  });

  test('renaming', async () => {
    const inner = await fs.mkdir(directory, name('inner'), { mode: 0o755 });
    await refuses('EINVAL', () => fs.rename(ROOT_INO, name('directory'), inner, name('x')));
    await refuses('EINVAL', () => fs.rename(ROOT_INO, name('directory'), directory, name('x')));
    await refuses('ENOTEMPTY', () =>
      fs.rename(directory, name('inner'), ROOT_INO, name('directory')),
    );
    await refuses('EISDIR', () => fs.rename(directory, name('file'), directory, name('inner')));
    await refuses('ENOTDIR', () => fs.rename(directory, name('inner'), directory, name('file')));
    await refuses('EEXIST', () =>
      fs.rename(directory, name('file'), directory, name('inner'), { noReplace: true }),
    );
    await refuses('ENOENT', () => fs.rename(directory, name('no'), ROOT_INO, name('x')));
    await refuses('EBUSY', () => fs.rename(directory, name('.'), ROOT_INO, name('x')));
    await fs.rmdir(directory, name('inner'));
  });

  test('sizes, offsets and xattrs', async () => {
    await refuses('EFBIG', () => fs.write(file, name('x'), 2 ** 44));
    await refuses('EFBIG', () => fs.setattr(file, { size: 2 ** 44 + 1 }));
    await refuses('EINVAL', () => fs.write(file, name('x'), -1));
    await refuses('EINVAL', () => fs.punchHole(file, 0, 0));
    await refuses('ENXIO', () => fs.seek(file, 7, 'data'));
    await refuses('ENODATA', () => fs.getXattr(file, 'user.none'));
    await refuses('ENODATA', () => fs.setXattr(file, 'user.none', name(''), 'replace'));
    await refuses('EOPNOTSUPP', () => fs.setXattr(file, 'colour', name('red')));
    await refuses('ENOSPC', () => fs.setXattr(file, 'user.big', Buffer.alloc(5000)));
    await refuses('ERANGE', () => fs.setXattr(file, 'user.big', Buffer.alloc(70_000)));
    await refuses('ENAMETOOLONG', () =>
      fs.symlink(ROOT_INO, name('l'), Buffer.alloc(4096, 't'), {}),
    );
    expect(Buffer.from(await contentOf(fs, file)).toString()).toBe('content');
  });
});

describe('limits', () => {
  test('65,000 names of one inode', async () => {
    const { device, fs } = await made({ bytesPerInode: 65_536 }, 16 << 20);
    const file = await fs.create(ROOT_INO, name('0'), { mode: 0o644 });
    for (let i = 1; i < 65_000; i++) {
      const result = fs.link(file, ROOT_INO, name(`${i}`));
      if (result !== undefined) await result;
    }
    await refuses('EMLINK', () => fs.link(file, ROOT_INO, name('one more')));
    expect((await fs.getattr(file)).links).toBe(65_000);
    await fs.close();
    if (hasTools) expect(await complaints(device)).toBe('');
  });

  test('a full device: nothing is lost, and there is room again', async () => {
    const { device, fs } = await made();
    const files: number[] = [];
    const fill = async (): Promise<void> => {
      for (;;) {
        const ino = await fs.create(ROOT_INO, name(`f${files.length}`), { mode: 0o644 });
        await fs.write(ino, Buffer.alloc(100_000, files.length), 0);
        files.push(ino);
      }
    };
    await refuses('ENOSPC', fill);
    await refuses('ENOSPC', () => fs.fallocate(files[0] as number, 0, 8 << 20));
    for (const [i, ino] of files.entries()) {
      expect(Buffer.from(await contentOf(fs, ino)).equals(Buffer.alloc(100_000, i))).toBe(true);
    }
    // What was freed is not durable yet: taking it again commits first.
    await fs.unlink(ROOT_INO, name('f1'));
    const more = await fs.create(ROOT_INO, name('more'), { mode: 0o644 });
    await fs.write(more, Buffer.alloc(90_000, 'm'), 0);
    await fs.close();
    if (hasTools) expect(await complaints(device)).toBe('');
  });

  test('no inode left', async () => {
    const { device, fs } = await made({ bytesPerInode: 1 << 20 });
    await refuses('ENOSPC', async () => {
      for (let i = 0; ; i++) await fs.create(ROOT_INO, name(`${i}`), { mode: 0o644 });
    });
    expect((await fs.statfs()).freeInodes).toBe(0);
    await fs.unlink(ROOT_INO, name('3'));
    await fs.create(ROOT_INO, name('again'), { mode: 0o644 });
    await fs.close();
    if (hasTools) expect(await complaints(device)).toBe('');
  });

  test('a sparse file of 16 TiB', async () => {
    const { device, fs } = await made();
    const file = await fs.create(ROOT_INO, name('huge'), { mode: 0o644 });
    await fs.write(file, name('end'), 2 ** 44 - 8192);
    expect((await fs.getattr(file)).size).toBe(2 ** 44 - 8189);
    expect(await fs.seek(file, 0, 'data')).toBe(2 ** 44 - 8192);
    await fs.close();
    if (hasTools) expect(await complaints(device)).toBe('');
  });
});

describe('devices that fail', () => {
  test('a failed commit makes it read-only, and fsync says so each time', async () => {
    const { device } = await made();
    const faulty = failing(device);
    const fs = await openFileSystem(faulty.device, { timer: undefined });
    const kept = await fs.create(ROOT_INO, name('kept'), { mode: 0o644 });
    await fs.sync();
    await fs.create(ROOT_INO, name('lost'), { mode: 0o644 });
    faulty.fail({ call: 'flush', nth: 1 });
    await refuses('EIO', () => fs.fsync(kept));
    expect(fs.readOnly).toBe(true);
    await refuses('EIO', () => fs.sync());
    await refuses('EROFS', () => fs.create(ROOT_INO, name('new'), { mode: 0o644 }));
    expect(await fs.lookup(ROOT_INO, name('kept'))).toBe(kept);
    await fs.close();
    const again = await openFileSystem(device, { timer: undefined });
    expect(await again.lookup(ROOT_INO, name('kept'))).toBe(kept);
    await again.close();
    if (hasTools) expect(await complaints(device)).toBe('');
  });

  test('a device without space for file data loses nothing, and goes on when it has some', async () => {
    const { device } = await made();
    const faulty = failing(device);
    const fs = await openFileSystem(faulty.device, { timer: undefined });
    const file = await fs.create(ROOT_INO, name('file'), { mode: 0o644 });
    await fs.write(file, Buffer.alloc(50_000, 'd'), 0);
    faulty.fail({ call: 'write', nth: 1, code: 'ERR_NO_SPACE' });
    await refuses('EDQUOT', () => fs.fsync(file));
    faulty.heal();
    await fs.fsync(file);
    await fs.close();
    const again = await openFileSystem(device, { readOnly: true });
    expect(Buffer.from(await contentOf(again, file)).equals(Buffer.alloc(50_000, 'd'))).toBe(true);
  });

  test('damage is EIO, and the rest is served', async () => {
    const { device, fs } = await made();
    const directory = await fs.mkdir(ROOT_INO, name('d'), { mode: 0o755 });
    await fs.create(directory, name('in it'), { mode: 0o644 });
    const file = await fs.create(ROOT_INO, name('file'), { mode: 0o644 });
    await fs.write(file, name('whole'), 0);
    await fs.close();
    const bytes = new Uint8Array(device.size);
    await device.readInto(bytes, 0);
    // The directory's first record: its own number and 12 bytes. The journal has it too, further in front.
    const record = Buffer.from([directory, 0, 0, 0, 12, 0, 1, 2, 0x2e, 0, 0, 0]);
    const at = Buffer.from(bytes).lastIndexOf(record);
    bytes[at + 4] = 3;
    await device.write(bytes.subarray(at - (at % 4096), at - (at % 4096) + 4096), at - (at % 4096));
    const damaged = await openFileSystem(device, { timer: undefined });
    await refuses('EIO', () => damaged.lookup(directory, name('in it')));
    await refuses('EIO', () => damaged.create(directory, name('new'), { mode: 0o644 }));
    expect(Buffer.from(await contentOf(damaged, file)).toString()).toBe('whole');
    await damaged.close();
  });

  test('features that are not known are named', async () => {
    const { device, fs } = await made();
    await fs.close();
    const block = new Uint8Array(4096);
    await device.readInto(block, 0);
    block[1024 + 0x60 + 2] = 0x01; // encrypt
    await device.write(block, 0);
    await expect(openFileSystem(device)).rejects.toThrow('encrypt');
    block[1024 + 0x60 + 2] = 0;
    block[1024 + 0x64 + 3] = 0x40; // not known, read-only compatible
    await device.write(block, 0);
    const only = await openFileSystem(device);
    expect(only.report.readOnlyReason).toContain('feature 1073741824');
    await refuses('EROFS', () => only.create(ROOT_INO, name('new'), { mode: 0o644 }));
    await refuses('EROFS', () => only.unlink(ROOT_INO, name('lost+found')));
  });
});

describe('freezing', () => {
  test('leaves a clean image; changes wait for the thaw', async () => {
    const { device, fs } = await made();
    await fs.create(ROOT_INO, name('before'), { mode: 0o644 });
    await fs.freeze();
    await refuses('EBUSY', () => fs.freeze());
    if (hasTools) expect(await complaints(device)).toBe('');
    const frozen = await openFileSystem(device, { readOnly: true });
    expect(frozen.report.replayed).toBe(0);
    expect(Object.keys(await treeOf(frozen))).toEqual(['/before']);
    let isMade = false;
    const waiting = Promise.resolve(fs.create(ROOT_INO, name('after'), { mode: 0o644 })).then(
      () => {
        isMade = true;
      },
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(isMade).toBe(false);
    expect(await fs.lookup(ROOT_INO, name('before'))).toBeGreaterThan(0);
    await fs.thaw();
    await waiting;
    await fs.freeze();
    // What waits when it is closed is done before; what comes while it closes is not.
    const late = Promise.resolve(fs.create(ROOT_INO, name('late'), { mode: 0o644 }));
    const closing = fs.close();
    await late;
    await expect(
      (async () => await fs.create(ROOT_INO, name('later'), { mode: 0o644 }))(),
    ).rejects.toMatchObject({ code: expect.stringMatching(/EROFS|ESTALE/) });
    await closing;
    await refuses('ESTALE', () => fs.getattr(ROOT_INO));
    const again = await openFileSystem(device, { readOnly: true });
    expect(Object.keys(await treeOf(again))).toEqual(['/before', '/after', '/late']);
  });

  test('ends at its deadline by itself', async () => {
    const { device } = await made();
    let fire = (): void => undefined;
    const timer = (callback: () => void, milliseconds: number): (() => void) => {
      if (milliseconds === 100) fire = callback;
      return () => undefined;
    };
    const fs = await openFileSystem(device, { timer });
    await fs.freeze({ deadlineMs: 100 });
    const waiting = fs.create(ROOT_INO, name('late'), { mode: 0o644 });
    fire();
    expect(await waiting).toBeGreaterThan(0);
    await fs.close();
  });
});
