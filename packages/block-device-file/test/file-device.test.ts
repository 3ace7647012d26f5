import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { BlockDevice } from '@palimpsest/block-device';
import {
  blockDeviceCases,
  type ConformanceCase,
  type DeviceFixture,
  readOnlyDeviceCases,
} from '@palimpsest/block-device/testing';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { searchEnd } from '../src/block-special.js';
import { type FileCalls, systemCalls } from '../src/file-calls.js';
import { type FileDeviceOptions, openWith } from '../src/file-device.js';
import { openFileDevice, renameDurably } from '../src/index.js';
import type { Trust } from '../src/pace.js';
import { isRemote } from '../src/remote.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-file-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newPath = () => path.join(folder, `disk-${files++}.img`);
const code = (value: string) => expect.objectContaining({ code: value });
const system = (name: string) => Object.assign(new Error(`${name}: injected`), { code: name });

function run<F>(name: string, cases: readonly ConformanceCase<F>[], fixture: F): void {
  describe(name, () => {
    for (const { name, run, skip } of cases) {
      const reason = skip?.(fixture);
      test.skipIf(reason !== undefined)(reason ? `${name} (${reason})` : name, () => run(fixture));
    }
  });
}

/** The suite over files, with some of the system replaced; D5 and D6 through failing calls. */
function fixture(
  blockSize: number,
  calls: Partial<FileCalls> = {},
  more: { spaceCommand?: string; trust?: Trust } = {},
) {
  const paths = new WeakMap<BlockDevice, string>();
  const faults = new WeakMap<BlockDevice, { flush?: string; write?: string }>();
  const open = async (file: string, options: FileDeviceOptions): Promise<BlockDevice> => {
    const fault: { flush?: string; write?: string } = {};
    const take = (kind: 'flush' | 'write'): Error | null => {
      const name = fault[kind];
      delete fault[kind];
      return name === undefined ? null : system(name);
    };
    const parts: FileCalls = {
      ...systemCalls,
      ...calls,
      fdatasync(fd, done) {
        const error = take('flush');
        systemCalls.fdatasync(fd, (real) => done(error ?? real));
      },
      writeSync(...args) {
        const error = take('write');
        if (error) throw error;
        return (calls.writeSync ?? systemCalls.writeSync)(...args);
      },
      write(fd, buffer, offset, length, position, done) {
        const error = take('write');
        if (error) setImmediate(() => done(error, 0));
        else (calls.write ?? systemCalls.write)(fd, buffer, offset, length, position, done);
      },
    };
    const device = await openWith({ calls: parts, trust: 'given', ...more }, file, options);
    paths.set(device, file);
    faults.set(device, fault);
    return device;
  };
  const set = (device: BlockDevice, kind: 'flush' | 'write', name: string) => {
    const fault = faults.get(device);
    if (fault !== undefined) fault[kind] = name;
  };
  const made: DeviceFixture = {
    create: () => open(newPath(), { blockSize, create: { size: 24 * blockSize } }),
    async reopen(device) {
      await device.close();
      return open(paths.get(device) as string, { blockSize });
    },
    failFlush: (device) => set(device, 'flush', 'EIO'),
    failWrite: (device) => set(device, 'write', 'ENOSPC'),
  };
  return made;
}

/** A clock on which every call takes a second: nearly all work goes to the thread pool. */
function slowClock(): () => number {
  let now = 0;
  return () => {
    now += 1000;
    return now;
  };
}
/** Moves at most `most` bytes a call, and is interrupted now and then. */
function atMost(most: number): Partial<FileCalls> {
  let calls = 0;
  return {
    readSync(fd, buffer, offset, length, position) {
      if (calls++ % 5 === 4) throw system('EINTR');
      return systemCalls.readSync(fd, buffer, offset, Math.min(length, most), position);
    },
    writeSync: (fd, buffer, offset, length, position) =>
      systemCalls.writeSync(fd, buffer, offset, Math.min(length, most), position),
    read: (fd, buffer, offset, length, position, done) =>
      systemCalls.read(fd, buffer, offset, Math.min(length, most), position, done),
    write: (fd, buffer, offset, length, position, done) =>
      systemCalls.write(fd, buffer, offset, Math.min(length, most), position, done),
  };
}

run('file, 4096-byte blocks', blockDeviceCases, fixture(4096));
run('file, 512-byte blocks', blockDeviceCases, fixture(512));
run('file, 64 KiB blocks: large requests', blockDeviceCases, fixture(65_536));
run(
  'file without fallocate',
  blockDeviceCases,
  fixture(65_536, {}, { spaceCommand: 'no-such-program' }),
);
run('file on a slow disk: thread pool', blockDeviceCases, fixture(512, { now: slowClock() }));
run('file that is not trusted yet', blockDeviceCases, fixture(4096, {}, { trust: 'earned' }));
run('file with short calls', blockDeviceCases, fixture(512, atMost(700)));
// Whole sectors here: calls that are both torn and overlap mix, and no device promises otherwise.
run('file with short calls by the pool', blockDeviceCases, {
  ...fixture(512, { ...atMost(512), now: slowClock() }),
});
run('file, read-only', readOnlyDeviceCases, {
  async open() {
    const file = newPath();
    const content = Uint8Array.from({ length: 8192 }, (_, at) => (at * 7) % 251);
    fs.writeFileSync(file, content);
    return { device: await openFileDevice(file, { readOnly: true, blockSize: 512 }), content };
  },
});

describe('opening', () => {
  test('keeps the inode, the bytes and the mode of an adopted file', async () => {
    const file = newPath();
    fs.writeFileSync(file, new Uint8Array(8192).fill(5), { mode: 0o640 });
    const before = fs.statSync(file);
    const device = await openFileDevice(file);
    await device.write(new Uint8Array(4096).fill(6), 4096);
    await device.zero(0, 4096);
    await device.resize(16_384);
    await device.flush();
    await device.close();
    const after = fs.statSync(file);
    expect([after.ino, after.mode, after.size]).toEqual([before.ino, before.mode, 16_384]);
    expect(fs.readFileSync(file).subarray(4096, 8192)).toEqual(Buffer.alloc(4096, 6));
  });

  test('a created file is sparse and its owner’s', async () => {
    const file = newPath();
    await using device = await openFileDevice(file, { create: { size: 2 ** 40 } });
    expect(device.size).toBe(2 ** 40);
    const { blocks, mode } = fs.statSync(file);
    expect(blocks * 512).toBeLessThan(65_536);
    expect(mode & 0o777).toBe(0o600);
    const block = new Uint8Array(4096).fill(3);
    await device.write(block, 2 ** 40 - 4096);
    const seen = new Uint8Array(8192);
    await device.readInto(seen, 2 ** 40 - 8192);
    expect(seen.subarray(4096)).toEqual(block);
  });

  test('create with allocate takes the space at once', async () => {
    const file = newPath();
    const create = { size: 4 << 20, allocate: true };
    await using device = await openFileDevice(file, { create });
    expect(device.size).toBe(4 << 20);
    expect(fs.statSync(file).blocks * 512).toBeGreaterThanOrEqual(4 << 20);
  });

  test('says what is wrong with a size, and how to put it right', async () => {
    const file = newPath();
    fs.writeFileSync(file, new Uint8Array(5000));
    await expect(openFileDevice(file)).rejects.toMatchObject({
      code: 'ERR_INVALID',
      message:
        `${file} has 5000 bytes, which is not a whole number of 4096-byte blocks ` +
        `(904 bytes over): make it larger with "truncate -s 8192 ${file}"`,
    });
    fs.truncateSync(file, 5120);
    await expect(openFileDevice(file)).rejects.toThrow('or open it with blocks of 512 bytes');
    await using device = await openFileDevice(file, { blockSize: 512 });
    expect(device.size).toBe(5120);
  });

  test('refuses what is not there, is there already, or is no file', async () => {
    const file = newPath();
    await expect(openFileDevice(file)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    fs.writeFileSync(file, new Uint8Array(4096));
    const create = { size: 4096 };
    await expect(openFileDevice(file, { create })).rejects.toMatchObject({ code: 'ERR_EXISTS' });
    await expect(openFileDevice(folder)).rejects.toMatchObject({ code: 'ERR_INVALID' });
    const odd = newPath();
    await expect(openFileDevice(odd, { create: { size: 100 } })).rejects.toMatchObject({
      code: 'ERR_INVALID',
    });
    expect(fs.existsSync(odd)).toBe(false);
    const pipe = newPath();
    execFileSync('mkfifo', [pipe]);
    await expect(openFileDevice(pipe)).rejects.toThrow('neither a file nor a disk');
    await expect(openFileDevice(file, { blockSize: 1000 })).rejects.toThrow('power of two');
  });

  test('renames durably', async () => {
    const [from, to] = [newPath(), newPath()];
    fs.writeFileSync(from, 'new');
    fs.writeFileSync(to, 'old');
    await renameDurably(from, to);
    expect(fs.readFileSync(to, 'utf8')).toBe('new');
    await expect(renameDurably(from, to)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});

describe('calls at once (P1, P4)', () => {
  test('a file is read and written at once when it has been fast for a while', async () => {
    const calls = { ...systemCalls, now: () => 0 };
    await using device = await openWith({ calls }, newPath(), { create: { size: 65_536 } });
    const block = new Uint8Array(4096);
    for (let call = 0; call < 64; call += 1) {
      const completion = call % 2 === 0 ? device.readInto(block, 0) : device.write(block, 4096);
      expect(completion).toBeInstanceOf(Promise);
      await completion;
    }
    expect(device.readInto(block, 0)).toBeUndefined();
    expect(device.write(block, 0)).toBeUndefined();
  });

  test('one on a remote file system is not', async () => {
    const statfs = fs.statfsSync(folder, { bigint: true });
    const spied = vi.spyOn(fs, 'statfsSync');
    spied.mockReturnValueOnce({ ...statfs, type: 0x6573_5546n });
    const calls = { ...systemCalls, now: () => 0 };
    await using device = await openWith({ calls }, newPath(), { create: { size: 65_536 } });
    expect(spied).toHaveBeenCalled();
    vi.restoreAllMocks();
    for (let call = 0; call < 100; call += 1) {
      const completion = device.readInto(new Uint8Array(4096), 0);
      expect(completion).toBeInstanceOf(Promise);
      await completion;
    }
    expect(isRemote(folder)).toBe(false);
    expect(isRemote(path.join(folder, 'none'))).toBe(false);
  });
});

describe('F1 a file that became shorter', () => {
  test.each<[length: number, where: string, trust: Trust]>([
    [4096, 'at once', 'given'],
    [4096, 'in the pool', 'earned'],
    [1 << 19, 'in the pool', 'given'],
  ])('is an error for a read of %d bytes %s, never zeros', async (length, _where, trust) => {
    const file = newPath();
    fs.writeFileSync(file, new Uint8Array(1 << 20).fill(1));
    await using device = await openWith({ trust }, file, {});
    fs.truncateSync(file, 4096);
    const target = new Uint8Array(length).fill(77);
    const read = (async () => device.readInto(target, 1 << 19))();
    await expect(read).rejects.toMatchObject({
      code: 'ERR_IO',
      message:
        `${file} ends at byte 4096, but had 1048576 bytes when it was opened: ` +
        'byte 524288 is gone',
    });
    expect(target[0]).toBe(77);
  });
});

describe('F2 F3 flushing', () => {
  test('flushes asked for while one runs share the next', async () => {
    let syncs = 0;
    const ends: (() => void)[] = [];
    const calls: FileCalls = {
      ...systemCalls,
      fdatasync(_fd, done) {
        syncs++;
        ends.push(() => done(null));
      },
    };
    const device = await openWith({ calls }, newPath(), { create: { size: 8192 } });
    const all = [device.flush(), device.flush(), device.flush(), device.flush()];
    expect(syncs).toBe(1);
    const closed = device.close(); // F4: waits for the flushes
    ends.shift()?.();
    await all[0];
    await new Promise(setImmediate);
    expect(syncs).toBe(2);
    ends.shift()?.();
    await Promise.all([...all, closed]);
    expect(syncs).toBe(2);
  });

  test('a flush with nothing written since the last costs nothing', async () => {
    let syncs = 0;
    const calls: FileCalls = {
      ...systemCalls,
      fdatasync(fd, done) {
        syncs++;
        systemCalls.fdatasync(fd, done);
      },
    };
    await using device = await openWith({ calls }, newPath(), { create: { size: 8192 } });
    await device.flush(); // always one: what an earlier process wrote may not be durable
    await device.flush();
    expect(syncs).toBe(1);
    await device.write(new Uint8Array(4096), 0);
    await device.flush();
    expect(syncs).toBe(2);
  });

  test.each(['EIO', 'ENOSPC', 'EDQUOT'])('%s is ERR_IO and is not tried again', async (name) => {
    let syncs = 0;
    const calls: FileCalls = {
      ...systemCalls,
      fdatasync(_fd, done) {
        syncs++;
        setImmediate(() => done(syncs === 1 ? system(name) : null));
      },
    };
    await using device = await openWith({ calls }, newPath(), { create: { size: 8192 } });
    await device.write(new Uint8Array(4096), 0);
    const [first, second] = [device.flush(), device.flush()];
    await expect(first).rejects.toMatchObject({ code: 'ERR_IO' });
    await expect(second).rejects.toThrow();
    expect(() => device.flush()).toThrow(code('ERR_FAILED'));
    expect(() => device.write(new Uint8Array(4096), 0)).toThrow(code('ERR_FAILED'));
    expect(syncs).toBe(1);
  });
});

describe('errors of the system', () => {
  test.each([
    ['ENOSPC', 'ERR_NO_SPACE'],
    ['EDQUOT', 'ERR_NO_SPACE'],
    ['EFBIG', 'ERR_NO_SPACE'],
    ['EIO', 'ERR_IO'],
    ['EUCLEAN', 'ERR_IO'],
  ])('%s on a write is %s, after part of it too', async (name, expected) => {
    for (const now of [() => 0, slowClock()]) {
      const fail = (position: number) => position >= 1024;
      const calls: FileCalls = {
        ...systemCalls,
        now,
        writeSync(fd, buffer, offset, length, position) {
          if (fail(position)) throw system(name);
          return systemCalls.writeSync(fd, buffer, offset, Math.min(length, 512), position);
        },
        write(fd, buffer, offset, length, position, done) {
          if (fail(position)) setImmediate(() => done(system(name), 0));
          else systemCalls.write(fd, buffer, offset, Math.min(length, 512), position, done);
        },
      };
      await using device = await openWith({ calls }, newPath(), { create: { size: 8192 } });
      for (const _ of [1, 2]) {
        await expect(
          (async () => device.write(new Uint8Array(4096).fill(9), 0))(),
        ).rejects.toMatchObject({ code: expected, cause: { code: name } });
      }
      const seen = new Uint8Array(4096);
      await device.readInto(seen, 4096);
      expect(seen).toEqual(new Uint8Array(4096)); // D6: nothing outside the range
    }
  });
});

describe('space', () => {
  const MIB = 1 << 20;
  test('large discards and zeros give the space back; small ones leave it', async () => {
    const file = newPath();
    await using device = await openFileDevice(file, { create: { size: 8 * MIB } });
    await device.write(new Uint8Array(8 * MIB).fill(1), 0);
    await device.flush();
    const used = () => fs.statSync(file).blocks * 512;
    expect(used()).toBeGreaterThanOrEqual(8 * MIB);
    await device.discard(0, 4096);
    await device.discard(0, 2 * MIB);
    await device.zero(4 * MIB, 2 * MIB, { fast: true });
    expect(used()).toBeLessThan(5 * MIB);
    await device.zero(4 * MIB, 2 * MIB, { allocate: true });
    expect(used()).toBeGreaterThanOrEqual(6 * MIB);
    const seen = new Uint8Array(4 * MIB);
    await device.readInto(seen, 3 * MIB);
    expect(seen.findIndex((byte) => byte !== 1)).toBe(MIB);
    expect(seen.subarray(MIB, 3 * MIB).some((byte) => byte !== 0)).toBe(false);
    expect(fs.statSync(file).size).toBe(8 * MIB);
  });

  test('growing takes the space, with the helper and without', async () => {
    for (const spaceCommand of ['fallocate', 'no-such-program']) {
      const file = newPath();
      await using device = await openWith({ spaceCommand }, file, { create: { size: 4096 } });
      await device.resize(4096 + 4 * MIB);
      const { size, blocks } = fs.statSync(file);
      expect(size).toBe(4096 + 4 * MIB);
      expect(blocks * 512).toBeGreaterThanOrEqual(4 * MIB);
    }
  });

  test('resizes asked for at once happen one after the other', async () => {
    const file = newPath();
    await using device = await openFileDevice(file, { create: { size: 4096 } });
    await Promise.all([3, 1, 2].map((blocks) => device.resize(blocks * 4096)));
    expect([device.size, fs.statSync(file).size]).toEqual([8192, 8192]);
  });

  test('does not grow a file that someone else has grown', async () => {
    const file = newPath();
    await using device = await openFileDevice(file, { create: { size: 4096 } });
    fs.appendFileSync(file, 'foreign bytes');
    await expect(device.resize(8192)).rejects.toThrow('has 4109 bytes, but had 4096');
  });

  /** A tmpfs of 1 MiB. Needs root and a kernel that lets us mount. */
  const small = path.join(folder, 'small');
  fs.mkdirSync(small);
  const mounted = (() => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small], { stdio: 'pipe' });
      return true;
    } catch (error) {
      console.warn(`SKIPPED: a really full disk, because a tmpfs cannot be mounted: ${error}`);
      return false;
    }
  })();
  afterAll(() => {
    if (mounted) execFileSync('umount', ['--lazy', small]);
  });

  test.skipIf(!mounted)('a full disk: refused clearly, nothing else changed', async () => {
    for (const spaceCommand of ['fallocate', 'no-such-program']) {
      const file = path.join(small, 'disk.img');
      await using device = await openWith({ spaceCommand }, file, { create: { size: 512 * 1024 } });
      const block = new Uint8Array(65_536).fill(1);
      for (let at = 0; at < device.size; at += block.length) await device.write(block, at);
      await device.flush();
      await expect(device.resize(8 * MIB)).rejects.toMatchObject({
        code: 'ERR_NO_SPACE',
        message: `no space to grow ${file} from 524288 to 8388608 bytes`,
      });
      expect([device.size, fs.statSync(file).size]).toEqual([524_288, 524_288]);
      await device.resize(device.size + 65_536); // the failed growth gave its space back
      await device.write(block, 524_288);
      await device.flush();
      const again = new Uint8Array(65_536);
      await device.readInto(again, 0);
      expect(again).toEqual(block);
      fs.rmSync(file);
    }
  });

  test.skipIf(!mounted)('a sparse file on a full disk: the write that finds no space', async () => {
    const file = path.join(small, 'sparse.img');
    await using device = await openFileDevice(file, { create: { size: 4 * MIB } });
    const block = new Uint8Array(MIB).fill(2);
    await device.write(block.subarray(0, MIB / 2), 0);
    const write = (async () => device.write(block, MIB))();
    await expect(write).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
    await device.write(block.subarray(0, 4096), 0); // the device goes on
    await device.flush();
    fs.rmSync(file);
  });
});

describe('disks', () => {
  test('the end of a file is found by reading', () => {
    for (const sectors of [0, 1, 2, 3, 4, 5, 1000, 1023, 1024, 1025, 2 ** 31 + 3]) {
      const file = newPath();
      fs.writeFileSync(file, '');
      fs.truncateSync(file, sectors * 512);
      const fd = fs.openSync(file, 'r');
      expect(searchEnd(fd)).toBe(sectors * 512);
      fs.closeSync(fd);
    }
  });

  /** A loop device. Needs root. */
  const backing = path.join(folder, 'loop.img');
  fs.writeFileSync(backing, new Uint8Array(3 << 20));
  const loop = (() => {
    try {
      const found = execFileSync('losetup', ['--find', '--show', backing], { stdio: 'pipe' });
      return String(found).trim();
    } catch (error) {
      console.warn(`SKIPPED: a block special file, because there is no loop device: ${error}`);
      return undefined;
    }
  })();
  afterAll(() => {
    if (loop !== undefined) execFileSync('losetup', ['--detach', loop]);
  });

  test.skipIf(loop === undefined)(
    'a block special file is a device of its exact size',
    async () => {
      await using device = await openFileDevice(loop as string);
      expect(device.size).toBe(3 << 20);
      await device.write(new Uint8Array(4096).fill(8), (3 << 20) - 4096);
      await device.zero(0, 2 << 20);
      await device.discard(1 << 20, 1 << 20);
      await device.flush();
      await expect(device.resize(4 << 20)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
      const seen = new Uint8Array(3 << 20);
      await device.readInto(seen, 0);
      expect(seen.findIndex((byte) => byte !== 0)).toBe((3 << 20) - 4096);
      await expect(openFileDevice(loop as string)).rejects.toMatchObject({ code: 'ERR_BUSY' });
      const fd = fs.openSync(loop as string, 'r');
      expect(searchEnd(fd)).toBe(3 << 20);
      fs.closeSync(fd);
    },
  );
});

test.runIf(process.platform === 'linux')(
  'neighbouring ranges that wait share one run',
  async () => {
    const mib = 1 << 20;
    const file = newPath();
    const log = `${file}.log`;
    const helper = `${file}.sh`;
    const script = `#!/bin/sh\necho "$@" >> ${log}\nexec fallocate "$@"\n`;
    fs.writeFileSync(helper, script, { mode: 0o755 });
    fs.writeFileSync(file, Buffer.alloc(16 * mib, 7));
    await using device = await openWith({ spaceCommand: helper }, file, {});
    await Promise.all(Array.from({ length: 8 }, (_, n) => device.discard(n * mib, mib)));
    expect(fs.readFileSync(log, 'utf8').trim().split('\n').length).toBe(1);
    const seen = new Uint8Array(9 * mib);
    await device.readInto(seen, 0);
    expect(seen.findIndex((byte) => byte !== 0)).toBe(8 * mib);
  },
);

test.runIf(process.platform === 'linux')('a shell that is killed fails its run alone', async () => {
  const mib = 1 << 20;
  const file = newPath();
  const helper = `${file}.sh`;
  const script = `#!/bin/sh\n[ -e ${file}.once ] || { touch ${file}.once; kill -9 $PPID; exit 1; }\nexec fallocate "$@"\n`;
  fs.writeFileSync(helper, script, { mode: 0o755 });
  fs.writeFileSync(file, Buffer.alloc(4 * mib, 7));
  await using device = await openWith({ spaceCommand: helper }, file, {});
  await expect(device.discard(0, mib)).rejects.toMatchObject({ code: 'ERR_IO' });
  await device.discard(2 * mib, mib);
  const seen = new Uint8Array(4 * mib);
  await device.readInto(seen, 0);
  expect(seen.findIndex((byte) => byte !== 7)).toBe(2 * mib);
});
