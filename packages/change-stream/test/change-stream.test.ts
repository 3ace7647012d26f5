/**
 * Goal: what is encoded is decoded whatever the pieces it comes in, and no cut, flip, addition or
 * mixture of streams is taken for one (CS1 to CS4).
 * Method: random streams; every byte of one is flipped and every prefix tried.
 */
import { isStorageError } from '@palimpsest/block-device';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  StreamDecoder,
  StreamEncoder,
  type StreamHeader,
  type StreamRecord,
} from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 4096;

const HEADER: StreamHeader = {
  blockSize: BLOCK,
  size: BLOCKS * BLOCK,
  from: null,
  to: { identity: '0123456789abcdef'.repeat(2), name: 'monday', message: 'äöü', createdAt: 1234 },
  startsAt: 0,
};

interface Change {
  readonly kind: 'data' | 'zeros' | 'checkpoint';
  readonly skip: number;
  readonly count: number;
}

const change = fc.record({
  kind: fc.constantFrom('data' as const, 'zeros' as const, 'checkpoint' as const),
  skip: fc.nat(9),
  count: fc.integer({ min: 1, max: 5 }),
});

/** Encodes changes; tells the frames, and the records that they stand for. */
function encoded(changes: readonly Change[], header: StreamHeader = HEADER) {
  const encoder = new StreamEncoder(header);
  const frames = [encoder.begin()];
  const records: StreamRecord[] = [{ kind: 'header', header }];
  let at = header.startsAt;
  const totals = { records: 0, dataBytes: 0, zeroBytes: 0 };
  for (const { kind, skip, count } of changes) {
    at += skip * BLOCK;
    const length = kind === 'checkpoint' ? 0 : count * BLOCK;
    if (at + length > header.size) break;
    if (kind === 'data') {
      const bytes = new Uint8Array(length).fill(1 + (at % 251));
      frames.push(encoder.data(at, bytes));
      records.push({ kind, position: at, bytes });
      totals.dataBytes += length;
    } else if (kind === 'zeros') {
      frames.push(encoder.zeros(at, length));
      records.push({ kind, position: at, length });
      totals.zeroBytes += length;
    } else {
      frames.push(encoder.checkpoint(at));
      records.push({ kind, position: at });
    }
    if (length > 0) totals.records += 1;
    at += length;
  }
  frames.push(encoder.end());
  records.push({ kind: 'trailer', ...totals });
  return { frames, records, bytes: Uint8Array.from(Buffer.concat(frames)) };
}

/** Decodes bytes that come in pieces, whose sizes `next` says. */
function decoded(bytes: Uint8Array, next: () => number): StreamRecord[] {
  const decoder = new StreamDecoder();
  const records: StreamRecord[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + next());
    records.push(...decoder.push(bytes.slice(at, end)));
    at = end;
  }
  decoder.end();
  return records;
}

function refusal(bytes: Uint8Array): unknown {
  try {
    decoded(bytes, () => 4096);
    return 'taken for a stream';
  } catch (error) {
    return isStorageError(error) ? error.code : error;
  }
}

const SMALL: readonly Change[] = [
  { kind: 'data', skip: 1, count: 1 },
  { kind: 'zeros', skip: 2, count: 5 },
  { kind: 'checkpoint', skip: 0, count: 1 },
  { kind: 'data', skip: 0, count: 1 },
];

test('what is encoded is decoded, in pieces of any size', () => {
  fc.assert(
    fc.property(fc.array(change), fc.array(fc.integer({ min: 1, max: 3000 })), (changes, sizes) => {
      const { bytes, records } = encoded(changes);
      let turn = 0;
      const next = () => sizes[turn++ % Math.max(1, sizes.length)] ?? 700;
      expect(decoded(bytes, next)).toEqual(records);
    }),
    { numRuns: 200 },
  );
});

test('every flipped bit is found (CS1)', () => {
  const { bytes } = encoded(SMALL);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = bytes.slice();
    const at = bit >> 3;
    flipped[at] = (flipped[at] as number) ^ (1 << (bit & 7));
    if (refusal(flipped) !== 'ERR_CORRUPT') throw new Error(`bit ${bit} may be flipped`);
  }
});

test('every cut is found, and so is what stands behind the end', () => {
  const { bytes } = encoded(SMALL);
  for (let length = 0; length < bytes.length; length += 1) {
    expect(refusal(bytes.slice(0, length)), `${length} bytes`).toBe('ERR_CORRUPT');
  }
  expect(refusal(Uint8Array.of(...bytes, 0))).toBe('ERR_CORRUPT');
  expect(refusal(Uint8Array.from(Buffer.concat([bytes, bytes])))).toBe('ERR_CORRUPT');
});

test('frames left out, exchanged, or of another stream are found (CS1)', () => {
  const join = (frames: readonly Uint8Array[]) => Uint8Array.from(Buffer.concat(frames));
  const { frames } = encoded(SMALL);
  const other = encoded(SMALL, { ...HEADER, from: 'f'.repeat(32) }).frames;
  for (let index = 0; index < frames.length; index += 1) {
    expect(refusal(join(frames.filter((_, at) => at !== index)))).toBe('ERR_CORRUPT');
    const mixed = frames.map((frame, at) => (at === index ? (other[at] as Uint8Array) : frame));
    expect(refusal(join(mixed))).toBe('ERR_CORRUPT');
  }
  const [a, b, ...rest] = frames.slice(1);
  const swapped = [frames[0], b, a, ...rest] as Uint8Array[];
  expect(refusal(join(swapped))).toBe('ERR_CORRUPT');
});

test('no bytes at all make the decoder hold more than a frame (CS3)', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(['ERR_CORRUPT', 'ERR_FORMAT']).toContain(refusal(bytes));
    }),
    { numRuns: 500 },
  );
  const { frames } = encoded(SMALL);
  const head = (frames[1] as Uint8Array).slice();
  new DataView(head.buffer).setUint32(14, 2 ** 31, true);
  const decoder = new StreamDecoder();
  expect([...decoder.push(frames[0] as Uint8Array)]).toHaveLength(1);
  // Refused by its head: nothing waits for two GiB.
  expect(() => [...decoder.push(head.subarray(0, 22))]).toThrow(/body has 2147483648 bytes/);
});

test('a stream of another version is refused as such', () => {
  const { frames } = encoded([]);
  const text = new TextDecoder().decode((frames[0] as Uint8Array).subarray(22));
  expect(text).toContain('"version":1');
  // The checksum comes first: only a right one vouches for what the version says.
  const changed = (frames[0] as Uint8Array).slice();
  changed[22 + text.indexOf('"version":1') + 10] = '2'.charCodeAt(0);
  expect(refusal(changed)).toBe('ERR_CORRUPT');
});

test('what is no change in order is refused by the encoder (CS2)', () => {
  const encoder = new StreamEncoder(HEADER);
  encoder.begin();
  encoder.zeros(4 * BLOCK, BLOCK);
  expect(() => encoder.zeros(0, BLOCK)).toThrow(/after 2560/);
  expect(() => encoder.data(5 * BLOCK, new Uint8Array(5))).toThrow(/in blocks of 512/);
  expect(() => encoder.zeros(HEADER.size, BLOCK)).toThrow(/in a volume of/);
  expect(() => new StreamEncoder({ ...HEADER, from: 'me' }).begin()).toThrow(/the base "me"/);
});

test('a stream that starts further on is one of its own', () => {
  const header = { ...HEADER, startsAt: 100 * BLOCK };
  const { bytes, records } = encoded(SMALL, header);
  expect(decoded(bytes, () => 33)).toEqual(records);
});
