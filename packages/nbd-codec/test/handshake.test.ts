/**
 * Goal: what one side says, the other understands, in whatever pieces it arrives; what is not well
 * formed is a ProtocolError with the right code, and never anything else.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ClientMessageDecoder,
  decodeInfo,
  decodeInfoRequest,
  decodeMetaContext,
  decodeMetaContextRequest,
  decodeServer,
  encodeClientFlags,
  encodeExportNameReply,
  encodeGreeting,
  encodeInfo,
  encodeInfoRequest,
  encodeMetaContext,
  encodeMetaContextRequest,
  encodeOption,
  encodeOptionReply,
  encodeServer,
  OPTION,
  OPTION_REPLY,
  ProtocolError,
  ServerMessageDecoder,
} from '../src/index.js';

const LIMITS = { maxData: 256, maxSkip: 1024 };

/** Pushes `bytes` in pieces that end at `cuts`, and collects all messages. */
function feed<T>(
  decoder: { push(chunk: Uint8Array): void; next(): T | undefined },
  bytes: Uint8Array,
  cuts: readonly number[],
): T[] {
  const messages: T[] = [];
  const ends = [...cuts, bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    decoder.push(bytes.subarray(start, end));
    start = end;
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) messages.push(next);
  }
  return messages;
}

const text = fc.string({ unit: 'grapheme', maxLength: 40 }).filter((s) => !s.includes('\0'));

test('a client conversation cut at every byte gives the same messages', () => {
  const bytes = Buffer.concat([
    encodeClientFlags(3),
    encodeOption(OPTION.list),
    encodeOption(77, new Uint8Array(300)), // longer than maxData: passed over
    encodeOption(OPTION.go, encodeInfoRequest({ name: 'prod@monday', kinds: [1, 3] })),
  ]);
  const expected = [
    { kind: 'flags', flags: 3 },
    { kind: 'option', option: OPTION.list, data: new Uint8Array(0) },
    { kind: 'oversize', option: 77, length: 300 },
    {
      kind: 'option',
      option: OPTION.go,
      data: encodeInfoRequest({ name: 'prod@monday', kinds: [1, 3] }),
    },
  ];
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    expect(feed(new ClientMessageDecoder(LIMITS), bytes, [cut])).toEqual(expected);
  }
  const everyByte = Array.from(bytes.keys());
  expect(feed(new ClientMessageDecoder(LIMITS), bytes, everyByte)).toEqual(expected);
});

test('what follows the last option is kept for the next phase', () => {
  const decoder = new ClientMessageDecoder(LIMITS);
  decoder.push(
    Buffer.concat([encodeClientFlags(1), encodeOption(OPTION.abort), Buffer.from('xyz')]),
  );
  expect(decoder.next()).toEqual({ kind: 'flags', flags: 1 });
  expect(decoder.next()?.kind).toBe('option');
  expect(Buffer.from(decoder.rest()).toString()).toBe('xyz');
});

test('an option too long to pass over, or without its magic, is refused', () => {
  const long = new ClientMessageDecoder(LIMITS);
  const header = Buffer.from(encodeOption(OPTION.go));
  header.writeUInt32BE(0xffffffff, 12);
  long.push(Buffer.concat([encodeClientFlags(1), header]));
  long.next();
  expect(() => long.next()).toThrowError(expect.objectContaining({ code: 'ERR_LIMIT' }));
  const garbage = new ClientMessageDecoder(LIMITS);
  garbage.push(Buffer.concat([encodeClientFlags(1), Buffer.from('GET / HTTP/1.1\r\n')]));
  garbage.next();
  expect(() => garbage.next()).toThrowError(expect.objectContaining({ code: 'ERR_MAGIC' }));
});

test('a server conversation cut anywhere gives the same messages', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.nat(20),
          fc.integer({ min: 1, max: 0xffffffff }),
          fc.uint8Array({ maxLength: 50 }),
        ),
      ),
      fc.boolean(),
      fc.array(fc.nat(2000)),
      (replies, noZeroes, cuts) => {
        const bytes = Buffer.concat([
          encodeGreeting(3),
          ...replies.map(([option, type, data]) => encodeOptionReply(option, type, data)),
        ]);
        const decoder = new ServerMessageDecoder({ maxData: 64 });
        const inside = cuts.filter((cut) => cut < bytes.length);
        expect(feed(decoder, bytes, inside)).toEqual([
          { kind: 'greeting', flags: 3 },
          ...replies.map(([option, type, data]) => ({ kind: 'reply', option, type, data })),
        ]);
        decoder.expectExportName(noZeroes);
        const last = encodeExportNameReply(2 ** 52 + 7, 5, noZeroes);
        expect(feed(decoder, last, [3])).toEqual([
          { kind: 'exportName', size: 2 ** 52 + 7, flags: 5 },
        ]);
        expect(decoder.rest()).toHaveLength(0);
      },
    ),
  );
});

test('a server that is none is recognised', () => {
  const decoder = new ServerMessageDecoder({ maxData: 64 });
  decoder.push(Buffer.from('SSH-2.0-OpenSSH_9.2p1'));
  expect(() => decoder.next()).toThrowError(expect.objectContaining({ code: 'ERR_MAGIC' }));
  const oldstyle = Buffer.from(encodeGreeting(0));
  oldstyle.writeUInt32BE(0x00420281, 8);
  const other = new ServerMessageDecoder({ maxData: 64 });
  other.push(oldstyle);
  expect(() => other.next()).toThrowError(/newstyle/);
});

describe('inner data', () => {
  test('survives the way there and back', () => {
    fc.assert(
      fc.property(
        text,
        fc.array(fc.nat(65535), { maxLength: 9 }),
        fc.array(text),
        (name, kinds, queries) => {
          expect(decodeInfoRequest(encodeInfoRequest({ name, kinds }))).toEqual({ name, kinds });
          const request = { name, queries };
          expect(decodeMetaContextRequest(encodeMetaContextRequest(request), 99)).toEqual(request);
          expect(decodeServer(encodeServer(name, name))).toEqual({ name, description: name });
          expect(decodeMetaContext(encodeMetaContext(7, name))).toEqual({ id: 7, name });
        },
      ),
    );
    for (const info of [
      { kind: 'export', size: 2 ** 44, flags: 0x0fed },
      { kind: 'name', name: 'prod' },
      { kind: 'description', description: 'the üsual' },
      { kind: 'blockSize', minimum: 1, preferred: 4096, maximum: 2 ** 25 },
      { kind: 'other', type: 99 },
    ] as const) {
      expect(decodeInfo(encodeInfo(info))).toEqual(info);
    }
  });

  test('cut short or made longer is refused, never misread', () => {
    const good = encodeMetaContextRequest({ name: 'n', queries: ['base:allocation', 'x'] });
    for (let cut = 0; cut < good.length; cut += 1) {
      expect(() => decodeMetaContextRequest(good.slice(0, cut), 9)).toThrow(ProtocolError);
    }
    expect(() => decodeMetaContextRequest(Buffer.concat([good, Buffer.alloc(1)]), 9)).toThrow(
      ProtocolError,
    );
    expect(() => decodeInfoRequest(new Uint8Array(3))).toThrow(ProtocolError);
  });

  test.each([0xffffffff, 0xfffffffe, 0x80000000, 4097, 300])(
    'a name length of %i is refused',
    (n) => {
      const data = Buffer.alloc(5000);
      data.writeUInt32BE(n, 0);
      const cut = n < 5000 ? data : data.subarray(0, 64);
      expect(() => decodeInfoRequest(cut)).toThrow(ProtocolError);
      expect(() => decodeMetaContextRequest(cut.subarray(0, 64), 9)).toThrow(ProtocolError);
    },
  );

  test('too many queries, NUL and bytes that are no UTF-8 are refused', () => {
    const many = encodeMetaContextRequest({ name: '', queries: Array(10).fill('q') });
    expect(() => decodeMetaContextRequest(many, 9)).toThrowError(
      expect.objectContaining({ code: 'ERR_LIMIT' }),
    );
    for (const name of [Buffer.from([0xff, 0xfe]), Buffer.from('a\0b'), Buffer.from([0xc3])]) {
      const data = Buffer.concat([Buffer.from([0, 0, 0, name.length]), name, Buffer.alloc(2)]);
      expect(() => decodeInfoRequest(data)).toThrowError(
        expect.objectContaining({ code: 'ERR_TEXT' }),
      );
    }
  });

  test('any bytes at all give a value or a ProtocolError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const decode of [
          () => decodeInfoRequest(bytes),
          () => decodeMetaContextRequest(bytes, 9),
          () => decodeServer(bytes),
          () => decodeInfo(bytes),
          () => decodeMetaContext(bytes),
        ]) {
          try {
            decode();
          } catch (error) {
            expect(error).toBeInstanceOf(ProtocolError);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a long text is cut at a character, at 4096 bytes', () => {
    const reply = encodeOptionReply(1, OPTION_REPLY.errPolicy, 'é'.repeat(4000));
    expect(reply.length).toBe(20 + 4096);
    const odd = encodeOptionReply(1, OPTION_REPLY.errPolicy, `x${'é'.repeat(4000)}`);
    expect(odd.length).toBe(20 + 4095);
  });
});
