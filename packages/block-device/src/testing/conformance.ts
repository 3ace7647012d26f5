/**
 * The conformance suite of BlockDevice: plain cases without a test runner, at least one for each
 * line D1..D12 of the contract, so that any backend runs them under any runner:
 *
 *   for (const { name, run, skip } of blockDeviceCases) {
 *     const reason = skip?.(fixture);
 *     test.skipIf(reason !== undefined)(reason ? `${name} (${reason})` : name, () => run(fixture));
 *   }
 *
 * Fill bytes are prime, so that they do not repeat at powers of two.
 */
import type { BlockDevice } from '../block-device.js';
import type { StorageErrorCode } from '../errors.js';
import { createRandom } from './random.js';

/** Says why a fixture cannot do something; the cases that need it are skipped with the reason. */
export interface Unsupported {
  readonly unsupported: string;
}

/** How the suite gets at a backend. */
export interface DeviceFixture {
  /** Makes a fresh device of zeros, of at least 8 blocks. The suite closes it. */
  create(): Promise<BlockDevice>;
  /** Closes `device`, if it is not closed yet, and opens what it stored anew. */
  readonly reopen: ((device: BlockDevice) => Promise<BlockDevice>) | Unsupported;
  /** Makes the next flush of `device` fail. @default not possible */
  readonly failFlush?: (device: BlockDevice) => void;
  /** Makes the next write to `device` find no space. @default not possible */
  readonly failWrite?: (device: BlockDevice) => void;
}

/** How the suite gets at a read-only device. */
export interface ReadOnlyFixture {
  /** Opens a read-only device of at least 2 blocks, and says what it holds. */
  open(): Promise<{ readonly device: BlockDevice; readonly content: Uint8Array }>;
}

/** One case. `run` throws when the device breaks the line. */
export interface ConformanceCase<Fixture> {
  /** Starts with the line of the contract, for instance `D1 `. */
  readonly name: string;
  run(fixture: Fixture): Promise<void>;
  /** The reason for which this fixture cannot run the case, if any. */
  skip?(fixture: Fixture): string | undefined;
}

/** Every device that takes changes passes these. */
export const blockDeviceCases: readonly ConformanceCase<DeviceFixture>[] = [
  {
    name: 'D1 a read returns zeros before any write',
    run: withDevice(async (device) => {
      const bytes = new Uint8Array(device.size).fill(199);
      await device.readInto(bytes, 0);
      isFilled(bytes, 0, 'a fresh device');
    }),
  },
  {
    name: 'D1 a read returns the last write, in one block and in many, at both ends',
    run: withDevice(async (device) => {
      const { blockSize, size } = device;
      for (const [position, blocks] of [
        [0, 1],
        [size - blockSize, 1],
        [blockSize, 3],
        [0, size / blockSize],
        [2 * blockSize, 2],
      ] as const) {
        for (const fill of [251, 241]) {
          const length = blocks * blockSize;
          await device.write(new Uint8Array(length).fill(fill), position);
          isFilled(await read(device, position, length), fill, `${length} bytes at ${position}`);
        }
      }
    }),
  },
  {
    name: 'D1 a write leaves its neighbours alone',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      await device.write(new Uint8Array(4 * blockSize).fill(239), 0);
      await device.write(new Uint8Array(blockSize).fill(233), 2 * blockSize);
      isFilled(await read(device, 0, 2 * blockSize), 239, 'before the block');
      isFilled(await read(device, 2 * blockSize, blockSize), 233, 'the block');
      isFilled(await read(device, 3 * blockSize, blockSize), 239, 'after the block');
    }),
  },
  {
    name: 'D2 what was flushed is there after reopening',
    skip: ({ reopen }) => ('unsupported' in reopen ? reopen.unsupported : undefined),
    async run({ create, reopen }) {
      if ('unsupported' in reopen) return;
      const device = await create();
      const { blockSize, size } = device;
      const expected = pattern(size, 5);
      await device.write(expected, 0);
      await device.zero(blockSize, blockSize);
      expected.fill(0, blockSize, 2 * blockSize);
      await device.flush();
      await using again = await reopen(device);
      isEqual(again.size, size, 'the size after reopening');
      isEqual(again.blockSize, blockSize, 'the block size after reopening');
      sameBytes(await read(again, 0, size), expected, 'the device after reopening');
    },
  },
  {
    name: 'D3 flushing twice, or with nothing to flush, succeeds',
    run: withDevice(async (device) => {
      await device.flush();
      await device.write(new Uint8Array(device.blockSize).fill(229), 0);
      await Promise.all([device.flush(), device.flush()]);
      isFilled(await read(device, 0, device.blockSize), 229, 'the block');
    }),
  },
  {
    name: 'D4 a request outside the device, unaligned or empty is refused and changes nothing',
    run: withDevice(async (device) => {
      const { blockSize, size } = device;
      const content = pattern(size, 7);
      await device.write(content, 0);
      const bad: readonly (readonly [number, number, StorageErrorCode])[] = [
        [size, blockSize, 'ERR_OUT_OF_RANGE'],
        [size - blockSize, 2 * blockSize, 'ERR_OUT_OF_RANGE'],
        [-blockSize, blockSize, 'ERR_OUT_OF_RANGE'],
        [2 ** 53 - 65_536, 65_536, 'ERR_OUT_OF_RANGE'],
        [1, blockSize, 'ERR_MISALIGNED'],
        [0, blockSize - 1, 'ERR_MISALIGNED'],
        [0, blockSize + 1, 'ERR_MISALIGNED'],
        [blockSize / 2, blockSize, 'ERR_MISALIGNED'],
        [0, 0, 'ERR_MISALIGNED'],
      ];
      for (const [position, length, code] of bad) {
        const what = `${length} bytes at ${position}`;
        const bytes = new Uint8Array(length).fill(227);
        await refuses(code, `reading ${what}`, () => device.readInto(bytes, position));
        isFilled(bytes, 227, `the target of the refused read of ${what}`);
        await refuses(code, `writing ${what}`, () => device.write(bytes, position));
        await refuses(code, `zeroing ${what}`, () => device.zero(position, length));
        await refuses(code, `discarding ${what}`, () => device.discard(position, length));
        await refuses(code, `extents of ${what}`, () => device.extents(position, length));
      }
      await refuses('ERR_MISALIGNED', 'position NaN', () => device.zero(Number.NaN, blockSize));
      sameBytes(await read(device, 0, size), content, 'the device after the refusals');
    }),
  },
  {
    name: 'D5 after a failed flush changes and flushes are refused, reads go on',
    skip: ({ failFlush }) => (failFlush ? undefined : 'the fixture cannot make a flush fail'),
    async run({ create, failFlush }) {
      await using device = await create();
      const block = new Uint8Array(device.blockSize).fill(223);
      await device.write(block, 0);
      failFlush?.(device);
      await fails('the flush', () => device.flush());
      await refuses('ERR_FAILED', 'a second flush', () => device.flush());
      await refuses('ERR_FAILED', 'a write', () => device.write(block, 0));
      await refuses('ERR_FAILED', 'a zero', () => device.zero(0, device.blockSize));
      await refuses('ERR_FAILED', 'a discard', () => device.discard(0, device.blockSize));
      isFilled(await read(device, 0, device.blockSize), 223, 'the block');
    },
  },
  {
    name: 'D6 a write refused for want of space changes nothing else and does not shut the device',
    skip: ({ failWrite }) => (failWrite ? undefined : 'the fixture cannot run out of space'),
    async run({ create, failWrite }) {
      await using device = await create();
      const { blockSize } = device;
      await device.write(new Uint8Array(3 * blockSize).fill(211), 0);
      failWrite?.(device);
      const block = new Uint8Array(blockSize).fill(197);
      await refuses('ERR_NO_SPACE', 'the write', () => device.write(block, blockSize));
      isFilled(await read(device, 0, blockSize), 211, 'the block before');
      isFilled(await read(device, 2 * blockSize, blockSize), 211, 'the block after');
      await device.write(block, 0);
      await device.flush();
      isFilled(await read(device, 0, blockSize), 197, 'a later write');
    },
  },
  {
    name: 'D7 after close every method answers ERR_CLOSED, and close may be called again',
    async run({ create }) {
      const device = await create();
      const block = new Uint8Array(device.blockSize);
      await device.close();
      await device.close();
      await refuses('ERR_CLOSED', 'a read', () => device.readInto(block, 0));
      await refuses('ERR_CLOSED', 'a write', () => device.write(block, 0));
      await refuses('ERR_CLOSED', 'a zero', () => device.zero(0, block.length));
      await refuses('ERR_CLOSED', 'a discard', () => device.discard(0, block.length));
      await refuses('ERR_CLOSED', 'a flush', () => device.flush());
      await refuses('ERR_CLOSED', 'extents', () => device.extents(0, block.length));
      await refuses('ERR_CLOSED', 'a resize', () => device.resize(device.size));
    },
  },
  {
    name: 'D8 a device that takes changes does not call itself read-only',
    run: withDevice(async (device) => {
      isEqual(device.readOnly, false, 'readOnly');
    }),
  },
  {
    name: 'D9 zero makes zeros of the range alone, with any option it takes',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      for (const options of [{}, { allocate: true }, { fast: true }]) {
        await device.write(new Uint8Array(6 * blockSize).fill(193), 0);
        try {
          await device.zero(blockSize, 3 * blockSize, options);
        } catch (error) {
          if (options.fast && isCode(error, 'ERR_UNSUPPORTED')) continue; // a refusal is allowed
          throw error;
        }
        isFilled(await read(device, 0, blockSize), 193, 'before the range');
        isFilled(await read(device, blockSize, 3 * blockSize), 0, 'the range');
        isFilled(await read(device, 4 * blockSize, 2 * blockSize), 193, 'after the range');
      }
      await device.write(new Uint8Array(blockSize).fill(191), blockSize);
      isFilled(await read(device, blockSize, blockSize), 191, 'a write into the zeros');
    }),
  },
  {
    name: 'D9 a discarded block reads as it was or as zeros, and stays so until it is written',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      await device.write(new Uint8Array(7 * blockSize).fill(181), 0);
      await device.discard(blockSize, 5 * blockSize);
      const first = await read(device, 0, 7 * blockSize);
      for (let block = 0; block < 7; block++) {
        const bytes = first.subarray(block * blockSize, (block + 1) * blockSize);
        const discarded = block >= 1 && block < 6;
        isFilled(bytes, discarded && bytes[0] === 0 ? 0 : 181, `block ${block}`);
      }
      await device.flush();
      sameBytes(await read(device, 0, 7 * blockSize), first, 'a second look');
      await device.write(new Uint8Array(blockSize).fill(179), 2 * blockSize);
      isFilled(await read(device, 2 * blockSize, blockSize), 179, 'a write after the discard');
    }),
  },
  {
    name: 'D10 changes to different blocks in flight at once do not disturb each other',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      const blocks = device.size / blockSize;
      for (let round = 0; round < 4; round++) {
        const work: (Promise<void> | undefined)[] = [];
        for (let block = 0; block < blocks; block++) {
          const fill = (block * 7 + round) % 251;
          work.push(device.write(new Uint8Array(blockSize).fill(fill), block * blockSize));
          if (block % 3 === 0) work.push(device.flush());
        }
        await Promise.all(work);
        for (let block = 0; block < blocks; block++) {
          const fill = (block * 7 + round) % 251;
          isFilled(await read(device, block * blockSize, blockSize), fill, `block ${block}`);
        }
      }
    }),
  },
  {
    name: 'D10 changes to one block in flight at once end as one of them, per block',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      await Promise.all(
        [173, 167, 163, 157].map((fill, index) =>
          device.write(new Uint8Array(2 * blockSize).fill(fill), (index % 3) * blockSize),
        ),
      );
      const may = [[173, 157], [173, 167, 157], [167, 163], [163]];
      for (let block = 0; block < 4; block++) {
        const bytes = await read(device, block * blockSize, blockSize);
        isEqual(may[block]?.includes(bytes[0] as number), true, `block ${block} is one of them`);
        isFilled(bytes, bytes[0] as number, `block ${block}`);
      }
    }),
  },
  {
    name: 'D10 a read during writes sees old and new bytes, and no others',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      await device.write(new Uint8Array(4 * blockSize).fill(151), 0);
      for (let round = 0; round < 8; round++) {
        const seen = new Uint8Array(4 * blockSize);
        await Promise.all([
          device.write(new Uint8Array(4 * blockSize).fill(152 + round), 0),
          device.readInto(seen, 0),
        ]);
        const other = seen.findIndex((byte) => byte !== 151 + round && byte !== 152 + round);
        isEqual(other, -1, `first byte that was never written, with ${151 + round} before`);
      }
    }),
  },
  {
    name: 'D11 the buffer is the caller’s again once the call has resolved',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      const buffer = new Uint8Array(blockSize).fill(149);
      await device.write(buffer, 0);
      buffer.fill(139);
      isFilled(await read(device, 0, blockSize), 149, 'a block whose source changed later');
      await device.flush();
      const target = await read(device, 0, blockSize);
      await device.write(buffer, 0);
      isFilled(target, 149, 'a read target after the device changed');
      buffer.fill(137);
      isFilled(await read(device, 0, blockSize), 139, 'the second write');
    }),
  },
  {
    name: 'D11 a source or target inside a larger buffer is not exceeded',
    run: withDevice(async (device) => {
      const { blockSize } = device;
      const large = new Uint8Array(blockSize + 64).fill(131);
      await device.write(large.subarray(17, 17 + blockSize), 0);
      const target = new Uint8Array(blockSize + 64).fill(127);
      await device.readInto(target.subarray(33, 33 + blockSize), 0);
      isFilled(target.subarray(0, 33), 127, 'before the target');
      isFilled(target.subarray(33, 33 + blockSize), 131, 'the target');
      isFilled(target.subarray(33 + blockSize), 127, 'after the target');
    }),
  },
  {
    name: 'D12 extents cover the range in order, and what they call zero reads as zeros',
    run: withDevice(async (device) => {
      const { blockSize, size } = device;
      await device.write(new Uint8Array(2 * blockSize).fill(113), blockSize);
      await device.zero(2 * blockSize, blockSize);
      await device.discard(5 * blockSize, 2 * blockSize);
      for (const [position, length] of [
        [0, size],
        [blockSize, blockSize],
        [2 * blockSize, 4 * blockSize],
      ] as const) {
        let at = position;
        for (const extent of await device.extents(position, length)) {
          isEqual(extent.length > 0 && extent.length % blockSize === 0, true, 'whole blocks');
          isEqual(at + extent.length <= position + length, true, 'inside the range');
          if (extent.zero) isFilled(await read(device, at, extent.length), 0, 'a zero extent');
          at += extent.length;
        }
        isEqual(at, position + length, 'the end of the extents');
      }
    }),
  },
  {
    name: 'resize keeps the content and adds zeros, or is refused as a whole',
    run: withDevice(async (device) => {
      const { blockSize, size } = device;
      const content = pattern(size, 11);
      await device.write(content, 0);
      await refuses('ERR_INVALID', 'a resize to part of a block', () => device.resize(size + 1));
      try {
        await device.resize(size + 4 * blockSize);
      } catch (error) {
        if (!isCode(error, 'ERR_UNSUPPORTED')) throw error;
        isEqual(device.size, size, 'the size after the refusal');
        return;
      }
      isEqual(device.size, size + 4 * blockSize, 'the new size');
      sameBytes(await read(device, 0, size), content, 'the old content');
      isFilled(await read(device, size, 4 * blockSize), 0, 'the new blocks');
      await device.write(new Uint8Array(blockSize).fill(109), size + 3 * blockSize);
      await device.flush();
      isFilled(await read(device, size + 3 * blockSize, blockSize), 109, 'the last block');
    }),
  },
  {
    name: 'D1 D9 a random history agrees with plain arrays (3 seeds)',
    async run({ create }) {
      for (const seed of [1, 2, 3]) {
        await using device = await create();
        await randomHistory(device, seed);
      }
    },
  },
];

/** Every read-only device passes these. */
export const readOnlyDeviceCases: readonly ConformanceCase<ReadOnlyFixture>[] = [
  {
    name: 'D1 a read-only device reads what it holds',
    async run({ open }) {
      const { device, content } = await open();
      isEqual(device.size, content.length, 'the size');
      isEqual(device.readOnly, true, 'readOnly');
      sameBytes(await read(device, 0, device.size), content, 'the device');
      const { blockSize } = device;
      const block = await read(device, blockSize, blockSize);
      sameBytes(block, content.subarray(blockSize, 2 * blockSize), 'the second block');
      await device.close();
    },
  },
  {
    name: 'D4 D8 a read-only device refuses changes and bad reads, and flush succeeds',
    async run({ open }) {
      const { device, content } = await open();
      const { blockSize, size } = device;
      const block = new Uint8Array(blockSize).fill(107);
      await refuses('ERR_READ_ONLY', 'a write', () => device.write(block, 0));
      await refuses('ERR_READ_ONLY', 'a zero', () => device.zero(0, blockSize));
      await refuses('ERR_READ_ONLY', 'a discard', () => device.discard(0, blockSize));
      await refuses('ERR_READ_ONLY', 'a resize', () => device.resize(size));
      await refuses('ERR_OUT_OF_RANGE', 'a read', () => device.readInto(block, size));
      await refuses('ERR_MISALIGNED', 'a read', () => device.readInto(block, 1));
      await device.flush();
      sameBytes(await read(device, 0, size), content, 'the device after the refusals');
      await device.close();
    },
  },
  {
    name: 'D7 a closed read-only device answers ERR_CLOSED',
    async run({ open }) {
      const { device } = await open();
      await device.close();
      await device.close();
      const block = new Uint8Array(device.blockSize);
      await refuses('ERR_CLOSED', 'a read', () => device.readInto(block, 0));
      await refuses('ERR_CLOSED', 'a flush', () => device.flush());
      await refuses('ERR_CLOSED', 'a write', () => device.write(block, 0));
    },
  },
  {
    name: 'D12 extents of a read-only device cover it, and what they call zero reads as zeros',
    async run({ open }) {
      const { device, content } = await open();
      let at = 0;
      for (const { length, zero } of await device.extents(0, device.size)) {
        if (zero) isFilled(content.subarray(at, at + length), 0, 'a zero extent');
        at += length;
      }
      isEqual(at, device.size, 'the end of the extents');
      await device.close();
    },
  },
];

/** Writes, zeros, discards, flushes and reads at random, against an array. */
async function randomHistory(device: BlockDevice, seed: number): Promise<void> {
  const { blockSize, size } = device;
  const random = createRandom(seed);
  const model = new Uint8Array(size);
  const blocks = size / blockSize;
  for (let step = 0; step < 120; step++) {
    const first = random.below(blocks);
    const count = random.between(1, Math.min(blocks - first, 9));
    const [position, length] = [first * blockSize, count * blockSize];
    const part = model.subarray(position, position + length);
    const action = random.below(8);
    if (action < 4) {
      await device.write(random.fill(part), position);
    } else if (action === 4) {
      await device.zero(position, length);
      part.fill(0);
    } else if (action === 5) {
      await device.discard(position, length);
      const now = await read(device, position, length);
      for (let at = 0; at < length; at += blockSize) {
        const block = now.subarray(at, at + blockSize);
        if (block.every((byte) => byte === 0)) part.fill(0, at, at + blockSize);
      }
      sameBytes(now, part, `seed ${seed}, step ${step}: a discarded range`);
    } else if (action === 6) {
      await device.flush();
    } else {
      const now = await read(device, position, length);
      sameBytes(now, part, `seed ${seed}, step ${step}: ${length} bytes at ${position}`);
    }
  }
  sameBytes(await read(device, 0, size), model, `seed ${seed}: the whole device`);
}

function withDevice(
  body: (device: BlockDevice) => Promise<void>,
): (fixture: DeviceFixture) => Promise<void> {
  return async ({ create }) => {
    await using device = await create();
    await body(device);
  };
}

async function read(device: BlockDevice, position: number, length: number): Promise<Uint8Array> {
  const target = new Uint8Array(length).fill(103);
  await device.readInto(target, position);
  return target;
}

/** Bytes that differ from sector to sector and block to block. */
function pattern(length: number, seed: number): Uint8Array {
  return createRandom(seed).fill(new Uint8Array(length));
}

function isEqual<T>(actual: T, expected: T, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${actual}, expected ${expected}`);
}

function isFilled(bytes: Uint8Array, fill: number, what: string): void {
  const wrong = bytes.findIndex((byte) => byte !== fill);
  if (wrong >= 0) throw new Error(`${what}: byte ${wrong} is ${bytes[wrong]}, expected ${fill}`);
}

function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  isEqual(actual.length, expected.length, `${what}: length`);
  if (Buffer.compare(actual, expected) === 0) return;
  const wrong = actual.findIndex((byte, index) => byte !== expected[index]);
  throw new Error(`${what}: byte ${wrong} is ${actual[wrong]}, expected ${expected[wrong]}`);
}

async function refuses(
  code: StorageErrorCode,
  what: string,
  call: () => Promise<unknown> | undefined,
): Promise<void> {
  const error = await fails(what, call);
  if (!isCode(error, code))
    throw new Error(`${what}: ${error}, expected ${code}`, { cause: error });
}

async function fails(what: string, call: () => Promise<unknown> | undefined): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`${what} succeeded, but should have failed`);
}

/** By the code's value, so that a device built against another copy of this package passes. */
function isCode(error: unknown, code: StorageErrorCode): boolean {
  return (error as { code?: unknown } | undefined)?.code === code;
}
