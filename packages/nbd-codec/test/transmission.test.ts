/**
 * Goal: requests and replies survive the way there and back, cut at any byte, with cookies exact;
 * anything else is a ProtocolError.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  COMMAND,
  type Cookie,
  encodeBlockStatusChunk,
  encodeErrorChunk,
  encodeHoleChunk,
  encodeNoneChunk,
  encodeRequest,
  LENGTH,
  ProtocolError,
  putDataChunk,
  putSimpleReply,
  type Reply,
  ReplyDecoder,
  RequestDecoder,
  type RequestHeader,
} from '../src/index.js';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const header = fc.record<RequestHeader>({
  flags: fc.integer({ min: 0, max: 0xffff }),
  type: fc.integer({ min: 0, max: 9 }),
  cookieHigh: u32,
  cookieLow: u32,
  offset: fc.maxSafeNat(),
  length: fc.integer({ min: 0, max: 200 }),
});

/** Bytes of payload passed on at once. */
const PIECE = 64;

/** Feeds `bytes` as they come, in the given lengths; the sink stops at every n-th admission. */
function decodeAll(bytes: Uint8Array, sizes: readonly number[], refuseEvery: number) {
  const requests: (RequestHeader & { payload: number[] })[] = [];
  let offered = 0;
  const sink = {
    admit(request: RequestHeader) {
      offered += 1;
      if (refuseEvery > 0 && offered % refuseEvery === 0) return false;
      requests.push({ ...request, payload: [] });
      return true;
    },
    payload(part: Uint8Array, left: number) {
      const request = requests.at(-1) as (typeof requests)[number];
      request.payload.push(...part);
      expect(request.payload.length + left).toBe(request.length);
      // R1: whole, or up to the next multiple of a piece on the device.
      const end = request.offset + request.payload.length;
      if (request.length <= PIECE) expect(left).toBe(0);
      else if (left > 0 && Number.isSafeInteger(end)) expect(end % PIECE).toBe(0);
      return part.length % 2 === 0; // Stops behind odd parts.
    },
  };
  const decoder = new RequestDecoder(sink, { piece: PIECE });
  let used = 0;
  let come = 0;
  for (let turn = 0; used < bytes.length; turn += 1) {
    const size = sizes.length === 0 ? bytes.length : (sizes[turn % sizes.length] ?? 1);
    come = Math.min(bytes.length, come + size);
    const count = decoder.push(bytes.subarray(used, come));
    used += count;
    if (turn > 10 * bytes.length + 100) throw new Error('no progress');
  }
  expect(decoder.payloadLeft).toBe(0);
  return requests;
}

describe('requests', () => {
  test('in any pieces, with a sink that stops at will', () => {
    fc.assert(
      fc.property(
        fc.array(header, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 90 }), { maxLength: 5 }),
        fc.constantFrom(0, 2, 3),
        (headers, sizes, refuseEvery) => {
          const payloadOf = (h: RequestHeader) =>
            h.type === COMMAND.write
              ? Array.from({ length: h.length }, (_, i) => (i * 7 + h.length) % 251)
              : [];
          const bytes = Buffer.concat(
            headers.flatMap((h) => [encodeRequest(h), Uint8Array.from(payloadOf(h))]),
          );
          const expected = headers.map((h) => ({ ...h, payload: payloadOf(h) }));
          expect(decodeAll(bytes, sizes, refuseEvery)).toEqual(expected);
        },
      ),
    );
  });

  test('split at every byte', () => {
    const one = {
      flags: 1,
      type: COMMAND.write,
      cookieHigh: 1,
      cookieLow: 2,
      offset: 3,
      length: 4,
    };
    const bytes = Buffer.concat([
      encodeRequest(one),
      Buffer.from('abcd'),
      encodeRequest({ ...one, type: 3 }),
    ]);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const requests = decodeAll(bytes, [cut, bytes.length], 0);
      expect(requests.map((r) => r.type)).toEqual([1, 3]);
      expect(requests[0]?.payload).toEqual([...Buffer.from('abcd')]);
    }
  });

  test('offsets beyond 2^53 stay beyond every size', () => {
    const bytes = Buffer.from(
      encodeRequest({ flags: 0, type: 0, cookieHigh: 0, cookieLow: 0, offset: 0, length: 1 }),
    );
    bytes.fill(0xff, 16, 24);
    expect(decodeAll(bytes, [], 0)[0]?.offset).toBeGreaterThan(Number.MAX_SAFE_INTEGER);
  });

  test('a wrong magic is refused', () => {
    const decoder = new RequestDecoder(
      { admit: () => true, payload: () => true },
      { piece: PIECE },
    );
    expect(() => decoder.push(Buffer.alloc(28))).toThrowError(
      expect.objectContaining({ code: 'ERR_MAGIC' }),
    );
  });
});

const COOKIE: Cookie = { cookieHigh: 0xdeadbeef, cookieLow: 0x80000001 };

/** Decodes `bytes` cut at `cut`; reads are answered into one buffer of 64 bytes at offset 1000. */
function decodeReplies(bytes: Uint8Array, cuts: readonly number[]) {
  const data = Buffer.alloc(64);
  const replies: Reply[] = [];
  const decoder = new ReplyDecoder({
    target: (_cookie, offset = 1000, length = 64) => {
      const start = offset - 1000;
      if (start < 0 || start + length > 64) throw new ProtocolError('ERR_VALUE', 'never asked for');
      return data.subarray(start, start + length);
    },
    reply: (reply) => replies.push(reply),
  });
  let start = 0;
  for (const end of [...cuts, bytes.length].sort((a, b) => a - b)) {
    decoder.push(bytes.subarray(start, end));
    start = end;
  }
  return { data, replies };
}

function simple(error: number, payload: Uint8Array): Buffer {
  const bytes = new Uint8Array(LENGTH.simpleReply);
  putSimpleReply(new DataView(bytes.buffer), 0, error, COOKIE.cookieHigh, COOKIE.cookieLow);
  return Buffer.concat([bytes, payload]);
}

function dataChunk(done: boolean, offset: number, payload: Uint8Array): Buffer {
  const bytes = new Uint8Array(LENGTH.dataChunk);
  const view = new DataView(bytes.buffer);
  putDataChunk(view, 0, done, COOKIE.cookieHigh, COOKIE.cookieLow, offset, payload.length);
  return Buffer.concat([bytes, payload]);
}

describe('replies', () => {
  test('of every kind, split at every byte', () => {
    const extents = [
      { length: 4096, flags: 3 },
      { length: 0xfffff000, flags: 0 },
    ];
    const bytes = Buffer.concat([
      simple(0, Buffer.alloc(64, 1)),
      simple(28, Buffer.alloc(0)),
      dataChunk(false, 1010, Buffer.from('hello')),
      encodeHoleChunk(COOKIE, false, 1020, 40),
      encodeNoneChunk(COOKIE),
      encodeBlockStatusChunk(COOKIE, true, 1, extents),
      encodeErrorChunk(COOKIE, 5, 'médium', 2 ** 40),
      encodeErrorChunk(COOKIE, 22, ''),
    ]);
    const expected = [
      { kind: 'simple', error: 0 },
      { kind: 'simple', error: 28 },
      { kind: 'data', done: false, offset: 1010, length: 5 },
      { kind: 'hole', done: false, offset: 1020, length: 40 },
      { kind: 'none', done: true },
      { kind: 'status', done: true, contextId: 1, extents },
      { kind: 'error', done: true, error: 5, text: 'médium', offset: 2 ** 40 },
      { kind: 'error', done: true, error: 22, text: '', offset: undefined },
    ].map((reply) => ({ ...reply, ...COOKIE }));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { data, replies } = decodeReplies(bytes, [cut]);
      expect(replies).toEqual(expected);
      expect(data.subarray(8, 17).toString('latin1')).toBe('\x01\x01hello\x01\x01');
    }
    expect(decodeReplies(bytes, Array.from(bytes.keys())).replies).toEqual(expected);
  });

  test('that break the protocol are refused', () => {
    const broken: [Buffer, string][] = [
      [Buffer.alloc(16), 'ERR_MAGIC'],
      [dataChunk(true, 1000, Buffer.alloc(0)), 'ERR_LENGTH'],
      [dataChunk(true, 999, Buffer.alloc(8)), 'ERR_VALUE'],
      [dataChunk(true, 1060, Buffer.alloc(8)), 'ERR_VALUE'],
      [mutated(encodeHoleChunk(COOKIE, true, 0, 1), 7, 9), 'ERR_VALUE'],
      [mutated(encodeHoleChunk(COOKIE, true, 0, 1), 19, 11), 'ERR_LENGTH'],
      [mutated(encodeNoneChunk(COOKIE), 5, 0), 'ERR_LENGTH'],
      [mutated(encodeErrorChunk(COOKIE, 5, 'abc'), 25, 9), 'ERR_LENGTH'],
      [Buffer.from(encodeErrorChunk(COOKIE, 0, 'abc')), 'ERR_VALUE'],
      [mutated(encodeBlockStatusChunk(COOKIE, true, 1, []), 19, 4), 'ERR_LENGTH'],
      [mutated(encodeNoneChunk(COOKIE), 16, 0x7f), 'ERR_LIMIT'],
    ];
    for (const [bytes, code] of broken) {
      expect(() => decodeReplies(bytes, [])).toThrowError(expect.objectContaining({ code }));
    }
  });

  test('any bytes give replies or a ProtocolError', () => {
    const good = Buffer.concat([
      simple(5, Buffer.alloc(0)),
      dataChunk(true, 1000, Buffer.alloc(9)),
      encodeErrorChunk(COOKIE, 5, 'text', 1),
      encodeBlockStatusChunk(COOKIE, true, 1, [{ length: 1, flags: 1 }]),
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(good.length),
        (mutations, cut) => {
          const bytes = Buffer.from(good);
          for (const [at, value] of mutations) bytes[at] = value;
          try {
            decodeReplies(bytes, [cut]);
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

function mutated(bytes: Uint8Array, at: number, value: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = value;
  return copy;
}
