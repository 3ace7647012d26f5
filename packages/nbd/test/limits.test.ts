/** Goal: no client, slow, silent or greedy, holds memory or stops another; and the server stops. */
import { encodeRequest } from '@palimpsest/nbd-codec';
import { expect, test } from 'vitest';
import { TestClient } from './client.js';
import { latch, SIZE, serveMemory, settle, slowDevice } from './fixture.js';

const MIB = 1 << 20;
const header = (type: number, offset: number, length: number, cookieLow = 1) =>
  encodeRequest({ flags: 0, type, cookieHigh: 0xfedcba98, cookieLow, offset, length });

test('a client that does not read is not read from, holds little, and is dropped after 30 s', async () => {
  let reads = 0;
  const device = slowDevice(64 * MIB, () => undefined, {
    readInto: () => {
      reads += 1;
      return undefined;
    },
  });
  const fixture = serveMemory({ device });
  const stuck = new TestClient(fixture.server);
  await stuck.connect('');
  stuck.stream.pause();
  for (let n = 0; n < 5000; n += 1) stuck.send(header(0, 0, 256 * 1024, n));
  await settle(50);
  expect(reads).toBeLessThanOrEqual(128);
  // Others are served meanwhile.
  const other = new TestClient(fixture.server);
  await other.connect('');
  expect((await other.request({ type: 0, length: MIB })).error).toBe(0);
  fixture.timers.advance(29_000);
  await settle();
  expect(fixture.server.clients()).toHaveLength(2);
  fixture.timers.advance(21_000);
  await settle();
  await stuck.served;
  expect(fixture.log).toContain('a stalled client was dropped');
  expect((await other.request({ type: 0, length: MIB })).error).toBe(0);
});

test('a client that is idle, or stopped within a header, stays for hours', async () => {
  const fixture = serveMemory();
  const idle = new TestClient(fixture.server);
  await idle.connect();
  const half = new TestClient(fixture.server);
  await half.connect();
  half.send(header(0, 0, 512).subarray(0, 13));
  for (let minute = 0; minute < 180; minute += 1) {
    fixture.timers.advance(60_000);
    await settle(1);
  }
  expect(fixture.server.clients()).toHaveLength(2);
  expect((await idle.request({ type: 0, length: 512 })).error).toBe(0);
});

test('a client that stops within a payload is dropped after 30 s; what it holds is given back', async () => {
  const fixture = serveMemory({ limits: { maxServerBytes: 2 * MIB } });
  const half = new TestClient(fixture.server);
  await half.connect();
  half.send(header(1, 0, 500_000), Buffer.alloc(300_000));
  await settle();
  fixture.timers.advance(50_000);
  await half.served;
  const other = new TestClient(fixture.server);
  await other.connect();
  expect((await other.request({ type: 1 }, Buffer.alloc(SIZE))).error).toBe(0);
  expect(fixture.leases()).toBe(1);
});

test('a client that is slow but not stalled is kept', async () => {
  const fixture = serveMemory();
  const slow = new TestClient(fixture.server);
  await slow.connect();
  const answer = slow.request({ type: 1, length: 10 }, Buffer.alloc(0));
  for (let n = 0; n < 10; n += 1) {
    slow.send(Buffer.from([n]));
    await settle(2);
    fixture.timers.advance(25_000);
  }
  expect((await answer).error).toBe(0);
});

test('requests for more bytes than a client may hold wait for their turn, and all succeed', async () => {
  let open = 0;
  let most = 0;
  const device = slowDevice(4 * MIB, () => undefined, {
    async readInto(target) {
      open += target.length;
      most = Math.max(most, open);
      await settle(1);
      open -= target.length;
    },
  });
  const { server } = serveMemory({ device, limits: { maxClientBytes: MIB } });
  const client = new TestClient(server);
  await client.connect('', { structured: false });
  const answers = Array.from({ length: 40 }, (_, n) =>
    client.request({ type: 0, offset: (n % 16) * 262_144, length: 262_144 }),
  );
  for (const answer of answers) expect((await answer).error).toBe(0);
  expect(most).toBe(MIB);
});

test('when the server is full of requests of some, others still get on', async () => {
  const gate = latch();
  const device = slowDevice(64 * MIB, () => undefined, {
    readInto: (_target, position) => (position >= 32 * MIB ? gate.opened : undefined),
  });
  const { server } = serveMemory({ device, limits: { maxServerBytes: 4 * MIB } });
  const greedy = new TestClient(server);
  await greedy.connect();
  const held = Array.from({ length: 100 }, (_, n) =>
    greedy.request({ type: 0, offset: 32 * MIB + n * 65_536, length: 65_536 }),
  );
  await settle();
  const modest = new TestClient(server);
  await modest.connect();
  for (let n = 0; n < 10; n += 1) {
    expect((await modest.request({ type: 0, offset: n * 4096, length: 4096 })).error).toBe(0);
  }
  expect((await modest.request({ type: 0, length: 8 * MIB })).error).toBe(0); // in pieces
  gate.open();
  for (const answer of held) expect((await answer).error).toBe(0);
});

test('a 64 MiB write to a slow device holds a few pieces at a time', async () => {
  let open = 0;
  let most = 0;
  const device = slowDevice(64 * MIB, () => undefined, {
    async write(source) {
      open += source.length;
      most = Math.max(most, open);
      await settle(1);
      open -= source.length;
    },
  });
  const { server } = serveMemory({ device });
  const client = new TestClient(server);
  await client.connect();
  const answer = client.request({ type: 1, length: 64 * MIB }, Buffer.alloc(0));
  const part = Buffer.alloc(65_536);
  for (let n = 0; n < 1024; n += 1) client.send(part);
  expect((await answer).error).toBe(0);
  expect(most).toBeLessThanOrEqual(MIB);
});

test('close answers new requests ESHUTDOWN, finishes what is under way, flushes, and ends', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => gate.opened);
  const fixture = serveMemory({ device });
  const client = new TestClient(fixture.server);
  await client.connect();
  const early = client.request({ type: 1 }, Buffer.alloc(4096, 1));
  await settle();
  let closed = false;
  const closing = fixture.server.close().then(() => {
    closed = true;
  });
  const late = client.request({ type: 1 }, Buffer.alloc(4096, 2));
  const lateRead = client.request({ type: 0, length: 1 });
  expect((await late).error).toBe(108);
  expect((await lateRead).error).toBe(108);
  expect([closed, fixture.leases()]).toEqual([false, 1]);
  gate.open();
  expect((await early).error).toBe(0);
  await closing;
  expect(device.calls).toEqual(['write 0 4096', 'flush']);
  expect(fixture.leases()).toBe(0);
  await client.ended;
  const refused = new TestClient(fixture.server);
  await refused.served;
});

test('close ends idle, half-open and busy clients alike, a hundred of them', async () => {
  const device = slowDevice(SIZE, () => settle(3));
  const fixture = serveMemory({ device, limits: { maxPerExport: 100 } });
  const clients: TestClient[] = [];
  for (let n = 0; n < 100; n += 1) {
    const client = new TestClient(fixture.server);
    clients.push(client);
    if (n % 10 === 0) {
      client.send(Buffer.alloc(n % 4)); // half a handshake
      continue;
    }
    await client.connect();
    if (n % 3 === 0) void client.request({ type: 0, length: SIZE });
    if (n % 5 === 0) client.send(header(1, 0, 4096).subarray(0, n % 28));
  }
  await fixture.server.close();
  await Promise.all(clients.map((client) => client.served));
  expect(fixture.leases()).toBe(0);
});

test('close does not wait for a device that hangs, but the export is released after it', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => gate.opened);
  const fixture = serveMemory({ device });
  const client = new TestClient(fixture.server);
  await client.connect();
  void client.request({ type: 1 }, Buffer.alloc(4096));
  await settle();
  const closing = fixture.server.close();
  await settle();
  fixture.timers.advance(4_500);
  await closing;
  expect(fixture.leases()).toBe(1);
  gate.open();
  await client.served;
  expect(fixture.leases()).toBe(0);
});

test('endSessions ends the clients of one export and tells how many', async () => {
  const fixture = serveMemory();
  const names = ['disk', 'disk', 'locked'];
  const clients = names.map(() => new TestClient(fixture.server, 'someone'));
  for (const [n, client] of clients.entries()) await client.connect(names[n]);
  await clients[0]?.request({ type: 0, length: 1000 });
  await clients[0]?.request({ type: 1 }, Buffer.alloc(5));
  expect(fixture.server.clients()).toEqual([
    { peer: 'someone', exportName: 'disk', requests: 2, bytesRead: 1000, bytesWritten: 5 },
    { peer: 'someone', exportName: 'disk', requests: 0, bytesRead: 0, bytesWritten: 0 },
    { peer: 'someone', exportName: 'locked', requests: 0, bytesRead: 0, bytesWritten: 0 },
  ]);
  expect(await fixture.server.endSessions('disk', 'the disk is swapped')).toBe(2);
  expect(fixture.leases()).toBe(1);
  expect(fixture.server.clients().map(({ exportName }) => exportName)).toEqual(['locked']);
  expect(await new TestClient(fixture.server).connect('disk')).toBe(1);
});

test('a release that fails is logged and harms nobody', async () => {
  const fixture = serveMemory({
    release: async () => {
      throw new Error('release failed');
    },
  });
  const client = new TestClient(fixture.server);
  await client.connect();
  await client.disconnect();
  expect(fixture.log).toContain('an export could not be released');
  expect(await new TestClient(fixture.server).connect()).toBe(1);
});
