/**
 * Goal: V3, the sessions of an export end so that it can be swapped, and clients come back to it.
 * Method: in process; clients at rest, in mid-request, in their handshake, silent, and real ones that
 * reconnect (libnbd's by hand, qemu's by itself).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type BlockDevice, checked, createMemoryDevice } from '@palimpsest/block-device';
import { encodeInfoRequest, NBD_ERROR, OPTION, OPTION_REPLY } from '@palimpsest/nbd-codec';
import { describe, expect, test } from 'vitest';
import { TestClient } from './client.js';
import { latch, SIZE, serveMemory, settle, slowDevice } from './fixture.js';
import { haveTools, listen, runOk } from './tools.js';

const REASON = 'the volume is restored';

test('V3 a predicate chooses; others stay; who left may come back at once', async () => {
  const { server, leases } = serveMemory();
  const [first, alias, other] = [0, 1, 2].map(() => new TestClient(server)) as [
    TestClient,
    TestClient,
    TestClient,
  ];
  await first.connect('disk');
  await alias.connect('');
  await other.connect('locked');
  expect(await server.endSessions((name) => name !== 'locked', REASON)).toBe(2);
  expect(leases()).toBe(1);
  await Promise.all([first.served, alias.served]);
  expect((await other.request({ type: 0, length: 8 })).error).toBe(0);
  expect(await server.endSessions('nobody', REASON)).toBe(0);
  const again = new TestClient(server);
  expect(await again.connect('disk')).toBe(OPTION_REPLY.ack);
  expect((await again.request({ type: 3 })).error).toBe(0);
});

test('what is under way finishes and is flushed; what is new gets ESHUTDOWN and the reason', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => (device.calls.includes('flush') ? undefined : gate.opened));
  const { server, leases } = serveMemory({ device });
  const client = new TestClient(server);
  await client.connect('disk');
  const write = client.request({ type: 1, offset: 0 }, Buffer.alloc(4096, 7));
  await settle();
  let ended = false;
  const ending = server.endSessions('disk', REASON).then((count) => {
    ended = true;
    return count;
  });
  await settle();
  const late = [
    client.request({ type: 0, length: 512 }),
    client.request({ type: 1, offset: 4096 }, Buffer.alloc(512)),
    client.request({ type: 3 }),
  ];
  const told = await Promise.all(late);
  expect(told.map(({ error }) => error)).toEqual(late.map(() => NBD_ERROR.eshutdown));
  expect(told[0]?.text).toBe(REASON);
  expect([ended, leases()]).toEqual([false, 1]);
  gate.open();
  expect((await write).error).toBe(0);
  expect(await ending).toBe(1);
  expect([leases(), device.calls.at(-1)]).toEqual([0, 'flush']);
  const kept = Buffer.alloc(4096);
  await device.readInto(kept, 0);
  expect(kept.every((byte) => byte === 7)).toBe(true);
});

test('a question about the export in a handshake is over before it resolves; GO may follow', async () => {
  const gate = latch();
  const { server, leases } = serveMemory({ release: () => gate.opened });
  const client = new TestClient(server);
  await client.greet();
  const asked = client.option(OPTION.info, encodeInfoRequest({ name: 'disk', kinds: [] }));
  await asked;
  let count: number | undefined;
  const ending = server.endSessions('disk', REASON).then((ended) => {
    count = ended;
  });
  await settle();
  expect(count).toBeUndefined();
  gate.open();
  await ending;
  expect([count, leases()]).toEqual([0, 0]);
  const go = await client.option(OPTION.go, encodeInfoRequest({ name: 'disk', kinds: [] }));
  expect(go.at(-1)?.type).toBe(OPTION_REPLY.ack);
});

test('who waits for the catalog meanwhile is a new client and is served what there is then', async () => {
  const gate = latch();
  let wait = false;
  const { server } = serveMemory({ open: async () => (wait ? gate.opened : undefined) });
  const early = new TestClient(server);
  await early.connect('disk');
  wait = true;
  const late = new TestClient(server);
  const connected = late.connect('disk');
  await settle();
  expect(await server.endSessions('disk', REASON)).toBe(1);
  gate.open();
  expect(await connected).toBe(OPTION_REPLY.ack);
  expect((await late.request({ type: 0, length: 8 })).error).toBe(0);
});

test('a client that sends half a request and then nothing is cut off after the grace period', async () => {
  const { server, leases, timers } = serveMemory();
  const client = new TestClient(server);
  await client.connect('disk');
  const never = client.request({ type: 1, length: 8192 });
  client.send(Buffer.alloc(100));
  await settle();
  const ending = server.endSessions('disk', REASON);
  await settle();
  expect(leases()).toBe(1);
  timers.advance(4_500);
  expect(await ending).toBe(1);
  expect(leases()).toBe(0);
  await expect(never).rejects.toThrow('hung up');
});

test('a device that does not finish is told of as busy, not as free', async () => {
  const gate = latch();
  const device = slowDevice(SIZE, () => gate.opened);
  const { server, leases, timers } = serveMemory({ device });
  const client = new TestClient(server);
  await client.connect('disk');
  client.request({ type: 1 }, Buffer.alloc(4096));
  await settle();
  const ending = expect(server.endSessions('disk', REASON)).rejects.toMatchObject({
    code: 'ERR_BUSY',
  });
  await settle();
  timers.advance(4_500);
  await settle();
  timers.advance(4_500);
  await ending;
  expect(leases()).toBe(1);
  gate.open();
  await client.served;
  expect(leases()).toBe(0);
});

/** A device that can grow. */
function growing(size: number): BlockDevice & { grow(size: number): void } {
  const memory = createMemoryDevice({ size: 4 * size });
  let now = size;
  const device = checked({
    blockSize: memory.blockSize,
    get size() {
      return now;
    },
    readOnly: false,
    readInto: (target, position) => memory.readInto(target, position),
    write: (source, position) => memory.write(source, position),
    flush: () => memory.flush(),
    close: () => memory.close(),
  });
  return Object.assign(device, {
    grow(larger: number) {
      now = larger;
    },
  });
}

test('an export that grew: who comes sees the new size, who is there keeps the old one', async () => {
  const device = growing(SIZE);
  const { server } = serveMemory({ device });
  const before = new TestClient(server);
  await before.connect('disk');
  device.grow(2 * SIZE);
  const after = new TestClient(server);
  await after.connect('disk');
  const sizes = [before, after].map(({ info }) => info.find(({ kind }) => kind === 'export'));
  expect(sizes).toMatchObject([{ size: SIZE }, { size: 2 * SIZE }]);
  expect((await before.request({ type: 0, offset: SIZE, length: 1 })).error).toBe(22);
  expect((await before.request({ type: 1, offset: SIZE }, Buffer.alloc(1))).error).toBe(28);
  expect((await before.request({ type: 7, offset: SIZE - 1, length: 2 })).error).toBe(22);
  expect((await before.request({ type: 0, offset: SIZE - 9, length: 9 })).error).toBe(0);
  expect((await after.request({ type: 1, offset: SIZE }, Buffer.alloc(9, 3))).error).toBe(0);
  const { data } = await after.request({ type: 0, offset: SIZE, length: 9 });
  expect(data.equals(Buffer.alloc(9, 3))).toBe(true);
});

describe.runIf(haveTools('nbdsh'))('libnbd', () => {
  test('hears of the shutdown, and connects to the same name again', async () => {
    const device = createMemoryDevice({ size: SIZE });
    await using at = await listen({ disk: device });
    const script = `
import sys
uri = "${at.uri('disk')}"
h.connect_uri(uri)
h.pwrite(b"before", 0)
print("ready", flush=True)
sys.stdin.readline()
try:
    h.pread(6, 0)
    h.pread(6, 0)
    print("still served")
except nbd.Error as e:
    print("ended", flush=True)
again = nbd.NBD()
again.connect_uri(uri)
assert bytes(again.pread(6, 0)) == b"after!", again.pread(6, 0)
print("back")
`;
    const shell = spawn('nbdsh', ['-c', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, PATH: `/usr/bin:${process.env.PATH}` },
    });
    let said = '';
    shell.stdout.on('data', (bytes: Buffer) => {
      said += bytes;
    });
    while (!said.includes('ready')) await once(shell.stdout, 'data');
    expect(await at.server.endSessions('disk', REASON)).toBe(1);
    expect(at.leases.get('disk')).toBe(0);
    await device.write(Buffer.from('after!'.padEnd(4096)), 0);
    shell.stdin.end('go on\n');
    const [status] = await once(shell, 'close');
    expect([status, said]).toEqual([0, 'ready\nended\nback\n']);
  });
});

describe.runIf(haveTools('qemu-io'))('qemu', () => {
  test('with reconnect-delay the guest notices nothing but new content', async () => {
    const device = createMemoryDevice({ size: SIZE });
    await using at = await listen({ disk: device });
    const where = [
      'driver=nbd',
      'server.type=unix',
      `server.path=${at.socket}`,
      'export=disk',
      'reconnect-delay=20',
    ].join(',');
    const child = spawn('qemu-io', ['--image-opts', where], { stdio: ['pipe', 'pipe', 'pipe'] });
    let said = '';
    const hear = (bytes: Buffer) => {
      said += bytes;
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.stdin.write('write -P 0x11 0 64k\n');
    while (!said.includes('wrote 65536')) await once(child.stdout, 'data');
    expect(await at.server.endSessions('disk', REASON)).toBe(1);
    expect(at.leases.get('disk')).toBe(0);
    await device.write(Buffer.alloc(65_536, 0x22), 0);
    child.stdin.end('read -P 0x22 0 64k\nwrite -P 0x33 64k 64k\nflush\nquit\n');
    const [status] = await once(child, 'close');
    expect(said).not.toMatch(/failed|error/i);
    expect([status, said.includes('read 65536')]).toEqual([0, true]);
  });
});

describe.runIf(haveTools('nbdinfo'))('sizes', () => {
  test('nbdinfo tells the size of an export that grew', async () => {
    const device = growing(SIZE);
    await using at = await listen({ disk: device });
    expect(await runOk('nbdinfo', ['--size', at.uri('disk')])).toBe(`${SIZE}\n`);
    device.grow(3 * SIZE);
    expect(await runOk('nbdinfo', ['--size', at.uri('disk')])).toBe(`${3 * SIZE}\n`);
  });
});
