/**
 * Goal: V1 and N3: whatever bytes arrive, in whatever pieces, with the stream closed anywhere, the
 * session ends cleanly: no unhandled rejection, no lease left, the next client is served.
 * Method: conversations from a grammar, then mutations of their bytes, cuts, and a close.
 */
import {
  encodeClientFlags,
  encodeInfoRequest,
  encodeMetaContextRequest,
  encodeOption,
  encodeRequest,
} from '@palimpsest/nbd-codec';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestClient } from './client.js';
import { type Fixture, SIZE, serveMemory, settle, slowDevice } from './fixture.js';

const name = fc.constantFrom('', 'disk', 'locked', 'nothing', '\u{1F600}', 'x'.repeat(5000));
const option = fc.oneof(
  fc.record({ name, kinds: fc.array(fc.nat(5), { maxLength: 4 }) }).map((r) => {
    return encodeOption(6, encodeInfoRequest(r));
  }),
  fc
    .record({ name, queries: fc.array(fc.constantFrom('base:allocation', 'base:', 'q:x')) })
    .map((r) => {
      return encodeOption(10, encodeMetaContextRequest(r));
    }),
  fc.tuple(fc.nat(13), fc.uint8Array({ maxLength: 40 })).map(([o, d]) => encodeOption(o, d)),
  fc.constantFrom(encodeOption(8), encodeOption(3), encodeOption(5)),
);
const request = fc
  .record({
    flags: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(0, 1) }, fc.nat(0xffff)),
    type: fc.oneof({ weight: 5, arbitrary: fc.nat(7) }, fc.nat(0xffff)),
    cookieHigh: fc.nat(),
    cookieLow: fc.nat(),
    offset: fc.oneof(fc.nat(SIZE), fc.constantFrom(0, SIZE, 2 ** 32, 2 ** 52)),
    length: fc.oneof(fc.nat(9000), fc.constantFrom(0, 512, 4096, 300_000)),
  })
  .chain((header) =>
    fc.boolean().map((whole) => {
      const payload = header.type === 1 ? header.length : 0;
      const bytes = Buffer.alloc(whole ? payload : Math.floor(payload / 2), 0x5a);
      return Buffer.concat([encodeRequest(header), bytes]);
    }),
  );
const conversation = fc
  .record({
    flags: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(3, 1) }, fc.nat()),
    options: fc.array(option, { maxLength: 5 }),
    go: fc.boolean(),
    requests: fc.array(request, { maxLength: 12 }),
  })
  .map(({ flags, options, go, requests }) =>
    Buffer.concat([
      encodeClientFlags(flags),
      ...options,
      ...(go ? [encodeOption(7, encodeInfoRequest({ name: 'disk', kinds: [3] }))] : []),
      ...requests,
    ]),
  );

const rejections: unknown[] = [];
const note = (reason: unknown) => rejections.push(reason);
beforeAll(() => void process.on('unhandledRejection', note));
afterAll(() => void process.off('unhandledRejection', note));

/** Says `bytes` in pieces to a server and leaves, in one of three ways. */
async function converse(fixture: Fixture, bytes: Buffer, cuts: readonly number[], end: number) {
  const client = new TestClient(fixture.server, 'fuzz', { raw: true });
  const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const stop of ends) {
    client.send(bytes.subarray(start, stop));
    start = stop;
    await settle(1);
  }
  if (end === 0) client.stream.destroy();
  else if (end === 1) client.stream.end();
  else await settle(5);
  if (end === 2) client.stream.destroy();
  await client.served;
}

test.each([
  ['at once', () => undefined],
  ['in its own time', () => settle(1)],
])('any conversation ends cleanly, on a device that answers %s', async (_, delay) => {
  const fixture = serveMemory({ device: slowDevice(SIZE, delay) });
  await fc.assert(
    fc.asyncProperty(
      conversation,
      fc.array(fc.tuple(fc.nat(1000), fc.nat(255)), { maxLength: 3 }),
      fc.array(fc.nat(2000), { maxLength: 4 }),
      fc.nat(2),
      async (bytes, mutations, cuts, end) => {
        const mutated = Buffer.from(bytes);
        for (const [at, value] of mutations) mutated[at % mutated.length] = value;
        await converse(fixture, mutated, cuts, end);
        expect(fixture.leases()).toBe(0);
      },
    ),
    { numRuns: 400, seed: 20_260_714 },
  );
  const client = new TestClient(fixture.server);
  expect(await client.connect()).toBe(1);
  expect((await client.request({ type: 0, length: SIZE })).error).toBe(0);
  await client.disconnect();
  expect(fixture.server.clients()).toEqual([]);
  expect(rejections).toEqual([]);
});
