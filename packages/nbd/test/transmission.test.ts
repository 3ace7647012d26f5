/**
 * Goal: every command, legal and not, answers as the table of limits and misbehaviour says, with
 * simple and with structured replies, and the connection lives on where it should.
 */
import { StorageError } from '@palimpsest/block-device';
import { COMMAND, COMMAND_FLAG, NBD_ERROR } from '@palimpsest/nbd-codec';
import { describe, expect, test } from 'vitest';
import { TestClient } from './client.js';
import { latch, SIZE, serveMemory, settle, slowDevice } from './fixture.js';

const { read, write, flush, trim, cache, writeZeroes, blockStatus } = COMMAND;
const { fua, noHole, df, reqOne, fastZero } = COMMAND_FLAG;
const { einval, enospc, eperm, enotsup, eoverflow, eio } = NBD_ERROR;
const MIB = 1 << 20;

/** Bytes that repeat at no power of two. */
function pattern(length: number, seed = 1): Buffer {
  const period = Uint8Array.from({ length: 251 * 13 }, (_, i) => (i * 31 + seed * 17) % 251);
  period[0] = seed % 251;
  return Buffer.alloc(length, period);
}

async function connected(
  options: Parameters<typeof serveMemory>[0] & { name?: string; structured?: boolean } = {},
) {
  const fixture = serveMemory(options);
  const client = new TestClient(fixture.server);
  const { name = '', structured = true } = options;
  await client.connect(name, { structured });
  return { client, ...fixture };
}

describe.each([true, false])('structured replies: %s', (structured) => {
  test('what is written is read back, at any byte and any length', async () => {
    const { client } = await connected({ structured });
    const shadow = Buffer.alloc(SIZE);
    for (const [offset, length] of [
      [0, 4096],
      [4096, 512],
      [1, 1],
      [4095, 2],
      [8191, 4098],
      [100_001, 70_003],
      [SIZE - 1, 1],
      [300_000, 600_001], // in pieces
      [0, SIZE],
      [3, SIZE - 5],
    ] as const) {
      const payload = pattern(length, offset);
      payload.copy(shadow, offset);
      expect((await client.request({ type: write, offset }, payload)).error).toBe(0);
      const answer = await client.request({ type: read, offset, length });
      expect(answer.error).toBe(0);
      expect(answer.data.equals(payload)).toBe(true);
      const around = { offset: Math.max(0, offset - 7), length: 9 };
      if (around.offset + 9 > SIZE) continue;
      const small = await client.request({ type: read, ...around });
      expect(small.data).toEqual(shadow.subarray(around.offset, around.offset + 9));
    }
    expect((await client.request({ type: read, length: SIZE })).data.equals(shadow)).toBe(true);
    await client.disconnect();
  });

  test.each([
    ['read past the end', { type: read, offset: SIZE - 1, length: 2 }, einval],
    ['read at 2^63', { type: read, offset: 2 ** 63, length: 1 }, einval],
    [
      'read at 2^64 - 512, of 2^32 - 1',
      { type: read, offset: 2 ** 64 - 2 ** 11, length: 2 ** 32 - 1 },
      einval,
    ],
    ['write past the end', { type: write, offset: SIZE - 1, length: 2 }, enospc],
    ['write at 2^63', { type: write, offset: 2 ** 63, length: 1 }, enospc],
    ['zeroes past the end', { type: writeZeroes, offset: SIZE, length: 1 }, enospc],
    ['trim past the end', { type: trim, offset: 1, length: SIZE }, einval],
    ['trim of 2^32 - 1 at the end', { type: trim, offset: SIZE, length: 2 ** 32 - 1 }, einval],
    ['cache past the end', { type: cache, offset: SIZE, length: 1 }, einval],
    ['an unknown command', { type: 8 }, einval],
    ['the resize command', { type: 99 }, einval],
    ['an unknown flag on read', { type: read, flags: 1 << 9, length: 1 }, einval],
    ['an unknown flag on write', { type: write, flags: 1 << 15, length: 1 }, einval],
    ['NO_HOLE on write', { type: write, flags: noHole, length: 1 }, einval],
    ['an unknown flag on flush', { type: flush, flags: 1 << 5 }, einval],
    ['REQ_ONE on trim', { type: trim, flags: reqOne, length: 1 }, einval],
    ['empty read', { type: read }, 0],
    ['empty write', { type: write }, 0],
    ['empty trim', { type: trim }, 0],
    ['empty zeroes', { type: writeZeroes, offset: SIZE }, 0],
    ['flush with offset and length', { type: flush, offset: 5, length: 5 }, 0],
    ['FUA on read', { type: read, flags: fua, length: 9 }, 0],
    ['FUA on flush', { type: flush, flags: fua }, 0],
    ['FUA on trim', { type: trim, flags: fua, length: 8192 }, 0],
    ['FUA on cache', { type: cache, flags: fua, length: 8192 }, 0],
    ['cache of everything', { type: cache, length: SIZE }, 0],
  ])('%s', async (_, header, error) => {
    const { client } = await connected({ structured });
    const payload =
      header.type === write ? pattern((header as { length?: number }).length ?? 0) : undefined;
    const answer = await client.request(header, payload);
    expect(answer.error).toBe(error);
    if (structured && error !== 0) expect(answer.text.length).toBeGreaterThan(0);
    expect((await client.request({ type: read, length: 10 })).error).toBe(0); // still in step
    await client.disconnect();
  });

  test('a read-only export refuses changes with EPERM, in step, and flushes', async () => {
    const { client } = await connected({ structured, name: 'locked' });
    expect((await client.request({ type: write, offset: 0 }, pattern(100_000))).error).toBe(eperm);
    expect((await client.request({ type: trim, length: 1 })).error).toBe(eperm);
    expect((await client.request({ type: writeZeroes, length: 1 })).error).toBe(eperm);
    expect((await client.request({ type: flush })).error).toBe(0);
    expect((await client.request({ type: read, length: SIZE })).error).toBe(0);
  });

  test('64 MiB in one request, both ways; more is refused, and more to write ends the session', async () => {
    const device = slowDevice(128 * MIB, () => undefined);
    const { client } = await connected({ structured, device });
    const payload = pattern(64 * MIB);
    expect((await client.request({ type: write, offset: 4096 }, payload)).error).toBe(0);
    const answer = await client.request({ type: read, offset: 4096, length: 64 * MIB });
    expect(answer.error).toBe(0);
    expect(answer.data.equals(payload)).toBe(true);
    const more = await client.request({ type: read, length: 64 * MIB + 1 });
    expect(more.error).toBe(eoverflow);
    const longer = await client.request({ type: write, length: 64 * MIB + 1 });
    expect(longer.error).toBe(einval);
    await client.ended;
    client.stream.destroy();
    await client.served;
  });

  test('what the device throws arrives as the right error, and says where', async () => {
    const failures: Record<number, unknown> = {
      0: new StorageError('ERR_IO', 'the medium is bad'),
      1: new StorageError('ERR_NO_SPACE', 'the store is full'),
      2: new StorageError('ERR_CORRUPT', 'a checksum is wrong'),
      3: new StorageError('ERR_IO', 'quota', {
        cause: Object.assign(new Error('q'), { code: 'EDQUOT' }),
      }),
      4: new Error('a bug'),
    };
    const throwing = (position: number) => {
      const failure = failures[Math.floor(position / 4096)];
      return failure === undefined ? undefined : Promise.reject(failure);
    };
    const device = slowDevice(SIZE, () => undefined, {
      readInto: (_target, position) => throwing(position),
      write: (_source, position) => throwing(position),
    });
    const { client } = await connected({ structured, device });
    const expected = [eio, enospc, eio, enospc, eio];
    for (const [block, error] of expected.entries()) {
      const at = { offset: block * 4096, length: 4096 };
      const answer = await client.request({ type: read, ...at });
      expect(answer.error).toBe(error);
      if (structured && error === eio) {
        expect(answer.replies[0]).toMatchObject({ kind: 'error', offset: at.offset });
      }
      expect((await client.request({ type: write, ...at }, pattern(4096))).error).toBe(error);
    }
    expect((await client.request({ type: read, offset: 5 * 4096, length: 1 })).error).toBe(0);
  });

  test('an error in the middle of a large read or write is an error, never short data', async () => {
    const bad = new StorageError('ERR_IO', 'bad sector');
    const touches = (position: number, length: number) =>
      position <= 600_000 && position + length > 600_000 ? Promise.reject(bad) : undefined;
    const device = slowDevice(SIZE, () => undefined, {
      readInto: (target, position) => touches(position, target.length),
      write: (source, position) => touches(position, source.length),
    });
    const { client } = await connected({ structured, device });
    expect((await client.request({ type: read, length: SIZE })).error).toBe(eio);
    expect((await client.request({ type: write }, pattern(SIZE))).error).toBe(eio);
    expect((await client.request({ type: read, length: 4096 })).error).toBe(0);
  });
});

test('what a device throws at once is an error too', async () => {
  const device = slowDevice(SIZE, () => undefined, {
    readInto() {
      throw new StorageError('ERR_IO', 'at once');
    },
    write() {
      throw new StorageError('ERR_NO_SPACE', 'at once');
    },
    flush() {
      throw new StorageError('ERR_IO', 'at once');
    },
  });
  const { client } = await connected({ device });
  expect((await client.request({ type: read, length: 4096 })).error).toBe(eio);
  expect((await client.request({ type: write }, pattern(4096))).error).toBe(enospc);
  expect((await client.request({ type: write }, pattern(409_600))).error).toBe(enospc);
  expect((await client.request({ type: flush })).error).toBe(eio);
});

test('a wrong magic ends the session', async () => {
  const { client, leases } = await connected();
  client.send(Buffer.alloc(28, 0x42));
  await client.served;
  expect(leases()).toBe(0);
});

test('DISC ignores offset and length, finishes what is under way, and answers it', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => gate.opened);
  const { client, leases } = await connected({ device });
  const answer = client.request({ type: read, length: 4096 });
  const bye = client.request({ type: 2, offset: 2 ** 63, length: 512 });
  await settle();
  expect(leases()).toBe(1);
  gate.open();
  expect((await answer).error).toBe(0);
  await expect(bye).rejects.toThrow('hung up');
  await client.served;
  expect(leases()).toBe(0);
});

test('a client that leaves in the middle of work: the export is released after the work, once', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => gate.opened);
  const { client, leases } = await connected({ device });
  void client.request({ type: read, length: 4096 });
  void client.request({ type: write, offset: 9 }, pattern(5000));
  void client.request({ type: writeZeroes, offset: 9, length: 300_000 });
  await settle();
  client.stream.destroy();
  await settle();
  expect(leases()).toBe(1);
  gate.open();
  await client.served;
  expect(leases()).toBe(0);
});

test('FUA and FLUSH reach the device after what they cover', async () => {
  const device = slowDevice(SIZE, () => Promise.resolve());
  const { client } = await connected({ device });
  await client.request({ type: write, offset: 4096, flags: fua }, pattern(4096));
  await client.request({ type: write, offset: 0 }, pattern(4096));
  expect(device.calls).toEqual(['write 4096 4096', 'flush', 'write 0 4096']);
  await client.request({ type: flush });
  await client.request({ type: write, offset: 100, flags: fua }, pattern(100));
  await client.request({ type: writeZeroes, offset: 0, length: 10, flags: fua });
  const last = ['write 0 4096', 'flush', 'write 0 4096', 'flush'];
  expect(device.calls.slice(3)).toEqual(['flush', ...last]);
  await client.request({ type: write, offset: 4096, flags: fua }, pattern(700_000));
  expect(device.calls.at(-1)).toBe('flush');
  expect(device.calls.filter((call) => call === 'flush')).toHaveLength(5);
});

test('a failed flush under FUA is an error: the write is not said to be durable', async () => {
  const device = slowDevice(SIZE, () => undefined, {
    flush: () => Promise.reject(new StorageError('ERR_IO', 'EIO')),
  });
  const { client } = await connected({ device });
  expect((await client.request({ type: write, flags: fua }, pattern(4096))).error).toBe(eio);
});

test('WRITE_ZEROES zeroes exactly the range, at any byte; FAST_ZERO may be refused', async () => {
  const { client, device } = await connected();
  for (const [offset, length] of [
    [5, 7],
    [4000, 200],
    [1, 8191],
    [4096, 4096],
    [4095, 8194],
    [10_000, 500_000],
  ] as const) {
    await client.request({ type: write }, Buffer.alloc(SIZE, 0xaa));
    const flags = noHole | fastZero;
    expect((await client.request({ type: writeZeroes, offset, length, flags })).error).toBe(0);
    const all = Buffer.alloc(SIZE);
    await device.readInto(all, 0);
    expect(all.subarray(0, offset).every((byte) => byte === 0xaa)).toBe(true);
    expect(all.subarray(offset, offset + length).every((byte) => byte === 0)).toBe(true);
    expect(all.subarray(offset + length).every((byte) => byte === 0xaa)).toBe(true);
  }
  const slow = slowDevice(SIZE, () => undefined, {
    zero: (_position, _length, { fast }) => {
      if (fast) throw new StorageError('ERR_UNSUPPORTED', 'no fast zeroes');
      return undefined;
    },
  });
  const second = await connected({ device: slow });
  const request = { type: writeZeroes, length: 8192 };
  expect((await second.client.request({ ...request, flags: fastZero })).error).toBe(enotsup);
  expect((await second.client.request(request)).error).toBe(0);
});

test('TRIM is rounded inwards to whole blocks', async () => {
  const trimmed: string[] = [];
  const device = slowDevice(SIZE, () => undefined, {
    discard(position, length) {
      trimmed.push(`${position}+${length}`);
      return undefined;
    },
  });
  const { client } = await connected({ device });
  for (const [offset, length] of [
    [1, 4096],
    [1, 12_288],
    [4096, 8192],
    [0, 100],
  ] as const) {
    expect((await client.request({ type: trim, offset, length })).error).toBe(0);
  }
  expect(trimmed).toEqual(['4096+8192', '4096+8192']);
});

test('a trim of 4 GiB - 1 on a huge device is carried out in slices', async () => {
  const trimmed: number[] = [];
  const huge = 2 ** 44;
  const device = slowDevice(huge, () => undefined, {
    discard: (_position, length) => void trimmed.push(length) as undefined,
  });
  const { client } = await connected({ device });
  const answer = await client.request({ type: trim, offset: huge - 2 ** 32, length: 2 ** 32 - 1 });
  expect(answer.error).toBe(0);
  expect(trimmed.length).toBe(4);
  expect(trimmed.reduce((a, b) => a + b)).toBe(2 ** 32 - 4096);
});

describe('block status', () => {
  const layout = slowDevice(SIZE, () => undefined, {
    async extents(position, length) {
      const list = [];
      for (let at = position; at < position + length; at += 4096) {
        const odd = Math.floor(at / 16_384) % 2 === 1;
        list.push({ length: 4096, zero: odd, hole: odd });
      }
      return list;
    },
  });

  test('merges runs, and clips the first and the last to the request', async () => {
    const { client } = await connected({ device: layout });
    const answer = await client.request({ type: blockStatus, offset: 100, length: 40_000 });
    expect(answer.replies).toMatchObject([
      {
        kind: 'status',
        done: true,
        extents: [
          { length: 16_284, flags: 0 },
          { length: 16_384, flags: 3 },
          { length: 7_332, flags: 0 },
        ],
      },
    ]);
  });

  test('REQ_ONE gives one extent inside the request', async () => {
    const { client } = await connected({ device: layout });
    for (const [offset, length, expected] of [
      [16_384, 100_000, 16_384],
      [5, 10, 10],
    ] as const) {
      const answer = await client.request({ type: blockStatus, offset, length, flags: reqOne });
      const [reply] = answer.replies;
      expect(reply?.kind === 'status' && reply.extents.map((e) => e.length)).toEqual([expected]);
    }
  });

  test('of 4 GiB - 1 is one extent where all is alike, with no 32-bit overflow', async () => {
    const huge = 2 ** 44;
    const device = slowDevice(huge, () => undefined);
    const { client } = await connected({ device });
    const range = { offset: huge - 2 ** 32, length: 2 ** 32 - 1 };
    const answer = await client.request({ type: blockStatus, ...range });
    expect(answer.replies).toMatchObject([{ extents: [{ length: 2 ** 32 - 1, flags: 0 }] }]);
  });

  test('of a badly fragmented device is cut short, not endless', async () => {
    const device = slowDevice(2 ** 30, () => undefined, {
      async extents(_position, length) {
        return Array.from({ length: length / 4096 }, (_, i) => {
          return { length: 4096, zero: i % 2 === 0, hole: false };
        });
      },
    });
    const { client } = await connected({ device });
    const answer = await client.request({ type: blockStatus, length: 2 ** 30 });
    const [reply] = answer.replies;
    expect(reply?.kind === 'status' && reply.extents.length).toBe(16_384);
  });

  test.each([
    ['past the end', { offset: SIZE, length: 1 }],
    ['of nothing', { length: 0 }],
    ['with DF', { length: 1, flags: df }],
  ])('%s is EINVAL', async (_, header) => {
    const { client } = await connected();
    expect((await client.request({ type: blockStatus, ...header })).error).toBe(einval);
  });

  test('without a context is EINVAL', async () => {
    const { server } = serveMemory();
    const client = new TestClient(server);
    await client.connect('', { allocation: false });
    expect((await client.request({ type: blockStatus, length: 1 })).error).toBe(einval);
  });
});

test('DF gives one chunk, however long; without it large reads come in pieces', async () => {
  const { client } = await connected();
  const whole = await client.request({ type: read, offset: 1, length: SIZE - 1, flags: df });
  expect(whole.replies.map((reply) => reply.kind)).toEqual(['data']);
  const pieces = await client.request({ type: read, offset: 1, length: SIZE - 1 });
  expect(pieces.replies).toHaveLength(4);
});

test('replies that become ready out of order go to the right requests', async () => {
  const gates = new Map<number, ReturnType<typeof latch>>();
  const device = slowDevice(SIZE, () => undefined, {
    readInto(target, position) {
      const gate = latch();
      gates.set(position, gate);
      return gate.opened.then(() => void target.fill(position / 4096 + 1));
    },
  });
  const { client } = await connected({ device });
  const answers = [0, 1, 2, 3].map((n) =>
    client.request({ type: read, offset: n * 4096, length: 4096 }),
  );
  await settle();
  for (const n of [2, 0, 3, 1]) gates.get(n * 4096)?.open();
  for (const [n, answer] of answers.entries()) {
    expect((await answer).data).toEqual(Buffer.alloc(4096, n + 1));
  }
});

test('hundreds of requests in one burst are all answered, in limits of 128 at a time', async () => {
  let underWay = 0;
  let most = 0;
  const device = slowDevice(SIZE, () => undefined, {
    async readInto(target, position) {
      underWay += 1;
      most = Math.max(most, underWay);
      await settle(1);
      underWay -= 1;
      target.fill((position / 4096) % 251);
    },
  });
  const { client } = await connected({ device });
  const answers = Array.from({ length: 700 }, (_, n) =>
    client.request({ type: read, offset: (n % 256) * 4096, length: 4096 }),
  );
  for (const [n, answer] of answers.entries()) {
    expect((await answer).data[17]).toBe((n % 256) % 251);
  }
  expect(most).toBe(128);
});

test('payload stays as it came until a device that takes its time has it', async () => {
  // Later requests arrive in the same memory: the test's stream spoils all of the room it is given.
  const size = 16 * MIB;
  const device = slowDevice(size, () => settle(3));
  const { client } = await connected({ device });
  const lengths = [4096, 28, 300_000, 512, 262_144, 4068, 65_536, 8192, 1, 262_145];
  const shadow = Buffer.alloc(size);
  const writes: Promise<{ error: number }>[] = [];
  let offset = 0;
  for (let n = 0; n < 120; n += 1) {
    const length = lengths[(n * 7 + (n >> 3)) % lengths.length] as number;
    if (offset + length > size) break;
    const payload = pattern(length, n + 1);
    shadow.set(payload, offset);
    writes.push(client.request({ type: write, offset, length }, payload));
    offset += Math.ceil((length + 1) / 4096) * 4096;
  }
  expect((await Promise.all(writes)).every(({ error }) => error === 0)).toBe(true);
  const stored = new Uint8Array(size);
  await device.readInto(stored, 0);
  expect(Buffer.compare(shadow, stored)).toBe(0);
  await client.disconnect();
});
