import { describe, expect, test } from 'vitest';
import {
  type BlockDriver,
  checked,
  createMemoryDevice,
  InvariantViolation,
  invariant,
  isStorageError,
  StorageError,
} from '../src/index.js';

const driver = (parts: Partial<BlockDriver> = {}): BlockDriver => ({
  blockSize: 512,
  size: 4096,
  readOnly: false,
  readInto: () => undefined,
  write: () => undefined,
  flush: () => undefined,
  close: () => Promise.resolve(),
  ...parts,
});
const code = (value: string) => expect.objectContaining({ code: value });

describe('geometry', () => {
  test.each([
    [0, 4096],
    [256, 4096],
    [1000, 4000],
    [131_072, 131_072],
    [Number.NaN, 4096],
    [512, 100],
    [512, -512],
    [512, 2 ** 53],
    [512, Number.NaN],
  ])('refuses blocks of %d bytes on a device of %d', (blockSize, size) => {
    expect(() => checked(driver({ blockSize, size }))).toThrow(code('ERR_INVALID'));
  });

  test('takes an empty device and the largest one', () => {
    expect(checked(driver({ size: 0 })).size).toBe(0);
    expect(checked(driver({ size: 2 ** 53 - 512 })).size).toBe(2 ** 53 - 512);
  });
});

test('what a device was asked for is counted; what was refused at the door is not', async () => {
  const device = checked(driver({ zero: () => undefined }));
  const { metrics } = device;
  await device.readInto(new Uint8Array(1024), 0);
  await device.write(new Uint8Array(512), 512);
  await device.write(new Uint8Array(1024), 1024);
  await device.zero(0, 2048);
  await device.discard(0, 512);
  await device.flush();
  expect(() => device.write(new Uint8Array(512), 4096)).toThrow(code('ERR_OUT_OF_RANGE'));
  expect(() => device.readInto(new Uint8Array(100), 0)).toThrow(code('ERR_MISALIGNED'));
  expect(metrics).toEqual({
    reads: 1,
    readBytes: 1024,
    writes: 2,
    writtenBytes: 1536,
    zeroedBytes: 2048,
    discardedBytes: 512,
    flushes: 1,
  });
});

describe('fallbacks', () => {
  test('zero writes zeros in slices, and refuses to be fast', async () => {
    const writes: [number, number][] = [];
    const device = checked(
      driver({
        size: 8 << 20,
        write(source, position) {
          expect(source.every((byte) => byte === 0)).toBe(true);
          writes.push([position, source.length]);
          return undefined;
        },
      }),
    );
    await device.zero(512, (2 << 20) + 512);
    expect(writes).toEqual([
      [512, 1 << 20],
      [512 + (1 << 20), 1 << 20],
      [512 + (2 << 20), 512],
    ]);
    expect(() => device.zero(0, 512, { fast: true })).toThrow(code('ERR_UNSUPPORTED'));
  });

  test('discard does nothing, extents say nothing, resize is refused', async () => {
    const device = checked(driver());
    expect(device.discard(0, 512)).toBeUndefined();
    expect(await device.extents(512, 1024)).toEqual([{ length: 1024, zero: false, hole: false }]);
    await expect(device.resize(8192)).rejects.toMatchObject({ code: 'ERR_UNSUPPORTED' });
  });
});

describe('D5', () => {
  test('a flush that threw at once shuts the device too', () => {
    const device = checked(
      driver({
        flush() {
          throw new StorageError('ERR_IO', 'no');
        },
      }),
    );
    expect(() => device.flush()).toThrow(code('ERR_IO'));
    expect(() => device.flush()).toThrow(code('ERR_FAILED'));
    expect(() => device.write(new Uint8Array(512), 0)).toThrow(code('ERR_FAILED'));
    expect(device.readInto(new Uint8Array(512), 0)).toBeUndefined();
  });

  test('a flush in flight together with one that failed does not succeed', async () => {
    const ends: { ok: () => void; fail: (error: Error) => void }[] = [];
    const device = checked(
      driver({ flush: () => new Promise<void>((ok, fail) => ends.push({ ok, fail })) }),
    );
    const first = device.flush();
    const second = device.flush();
    ends[0]?.fail(new StorageError('ERR_IO', 'the one report of a failed write-back'));
    ends[1]?.ok();
    await expect(first).rejects.toMatchObject({ code: 'ERR_IO' });
    await expect(second).rejects.toMatchObject({ code: 'ERR_FAILED' });
  });

  test('a flush that found no space is not a failed one: nothing was lost', async () => {
    let room = false;
    const device = checked(
      driver({
        async flush() {
          if (!room) throw new StorageError('ERR_NO_SPACE', 'full');
        },
      }),
    );
    await expect(device.flush()).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
    room = true;
    await device.flush();
  });
});

test('close reaches the driver once', async () => {
  let closes = 0;
  const device = checked(
    driver({
      async close() {
        closes++;
      },
    }),
  );
  await Promise.all([device.close(), device.close()]);
  await device[Symbol.asyncDispose]();
  expect(closes).toBe(1);
});

describe('errors', () => {
  test('keep code and cause, and are told apart from bugs', () => {
    const cause = new Error('EIO');
    const error = new StorageError('ERR_IO', 'read failed', { cause });
    expect(error).toMatchObject({ name: 'StorageError', code: 'ERR_IO', cause });
    expect(isStorageError(error)).toBe(true);
    expect(isStorageError(error, 'ERR_IO')).toBe(true);
    expect(isStorageError(error, 'ERR_CLOSED')).toBe(false);
    expect(isStorageError(cause)).toBe(false);
  });

  test('invariant throws the fact that should hold', () => {
    expect(() => invariant(true, 'never said')).not.toThrow();
    expect(() => invariant(0, 'there are blocks')).toThrow(InvariantViolation);
    expect(() => invariant(undefined, 'there are blocks')).toThrow(
      'invariant violated: there are blocks',
    );
  });
});

describe('memory', () => {
  test('a device of 8 PiB costs what it holds', async () => {
    const size = 2 ** 53 - 4096;
    const device = createMemoryDevice({ size });
    const block = new Uint8Array(4096).fill(11);
    await device.write(block, size - 4096);
    await device.write(block, 3 * 2 ** 40);
    const seen = new Uint8Array(8192);
    await device.readInto(seen, size - 8192);
    expect(seen.subarray(0, 4096)).toEqual(new Uint8Array(4096));
    expect(seen.subarray(4096)).toEqual(block);
    await device.readInto(seen, 3 * 2 ** 40 - 4096);
    expect(seen.subarray(4096)).toEqual(block);
  });

  test('what a smaller size cuts off is zeros when the size grows again', async () => {
    const device = createMemoryDevice({ blockSize: 512, size: 1024 });
    await device.write(new Uint8Array(1024).fill(3), 0);
    await device.resize(512);
    await device.resize(1024);
    const seen = new Uint8Array(1024);
    await device.readInto(seen, 0);
    expect(seen.subarray(0, 512)).toEqual(new Uint8Array(512).fill(3));
    expect(seen.subarray(512)).toEqual(new Uint8Array(512));
  });
});
