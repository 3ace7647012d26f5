/**
 * Goal: when a client is idle it holds nothing: no slab, no charge. Method: a transmission of its
 * own, so that pool and budget can be looked at after every kind of request.
 */
import { duplexPair } from 'node:stream';
import { StorageError } from '@palimpsest/block-device';
import { encodeRequest } from '@palimpsest/nbd-codec';
import { expect, test } from 'vitest';
import { Budget } from '../src/budget.js';
import { Inbox } from '../src/inbox.js';
import { DEFAULT_LIMITS } from '../src/limits.js';
import { SlabPool } from '../src/slabs.js';
import { Transmission } from '../src/transmission.js';
import { SIZE, settle, slowDevice } from './fixture.js';

function transmit(delay: () => Promise<void> | undefined) {
  const fail = (position: number) => {
    if (position >= SIZE / 2) throw new StorageError('ERR_NO_SPACE', 'full');
  };
  const device = slowDevice(SIZE, delay);
  const failing = slowDevice(SIZE, delay, {
    readInto: (target, position) => device.readInto(target, position),
    write(_source, position) {
      if (delay() === undefined) fail(position);
      return settle(1).then(() => fail(position));
    },
  });
  const [near, far] = duplexPair();
  const budget = new Budget(DEFAULT_LIMITS.maxServerBytes);
  const pool = new SlabPool();
  const logger = { info() {}, warn() {}, error() {} };
  const agreed = { readOnly: false, size: SIZE, structured: false, contexts: [] };
  const shared = { limits: DEFAULT_LIMITS, budget, pool, logger };
  const transmission = new Transmission(
    far,
    shared,
    { device: failing, ...agreed },
    new Inbox(pool),
    () => {},
  );
  far.on('data', (chunk: Buffer) => transmission.receive(chunk));
  near.resume();
  return { near, budget, pool };
}

const CASES: [string, { type: number; offset?: number; length: number }[]][] = [
  [
    'small reads',
    Array.from({ length: 200 }, (_, n) => ({ type: 0, offset: n * 4096, length: 4096 })),
  ],
  ['odd reads', Array.from({ length: 20 }, (_, n) => ({ type: 0, offset: n * 777, length: 5000 }))],
  ['a large read', [{ type: 0, length: SIZE }]],
  ['reads past the end', Array(10).fill({ type: 0, offset: SIZE, length: 4096 })],
  ['small writes', Array(50).fill({ type: 1, length: 4096 })],
  ['odd writes', Array(20).fill({ type: 1, offset: 5, length: 9999 })],
  ['large writes', Array(2).fill({ type: 1, length: 400_000 })],
  ['writes that fail', Array(20).fill({ type: 1, offset: SIZE / 2, length: 4096 })],
  ['a large write that fails midway', [{ type: 1, offset: 8192, length: SIZE - 8192 }]],
  ['all others', [3, 4, 5, 6, 7, 8].map((type) => ({ type, length: 300_000 }))],
];

test.each(
  CASES.flatMap(([name, requests]) => [
    { name, requests, when: 'at once', delay: (): undefined => undefined },
    { name, requests, when: 'later', delay: (): Promise<void> => settle(1) },
  ]),
)('$name, answered $when, leave nothing behind', async ({ requests, delay }) => {
  const { near, budget, pool } = transmit(delay);
  const header = { flags: 0, cookieHigh: 0, cookieLow: 0, offset: 0 };
  for (const request of requests) {
    near.write(encodeRequest({ ...header, ...request }));
    // Payload in parts that fit no border, so that it has to be put together.
    for (let left = request.type === 1 ? request.length : 0; left > 0; left -= 60_001) {
      near.write(Buffer.alloc(Math.min(left, 60_001), 7));
      if (requests.length === 1) await settle(2); // Failures arrive between the parts.
    }
  }
  await settle(300);
  expect({ slabs: pool.lent, bytes: budget.used }).toEqual({ slabs: 0, bytes: 0 });
  near.destroy();
});
