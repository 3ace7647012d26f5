/** Goal: every row of the handshake, legal and not, over an in-memory stream. */
import {
  decodeInfo,
  decodeMetaContext,
  decodeServer,
  encodeClientFlags,
  encodeInfoRequest,
  encodeMetaContextRequest,
  encodeOption,
  encodeRequest,
  OPTION,
  OPTION_REPLY,
  TRANSMISSION_FLAG,
} from '@palimpsest/nbd-codec';
import { expect, test } from 'vitest';
import { BOTH, TestClient } from './client.js';
import { latch, SIZE, serveMemory, settle } from './fixture.js';

const { ack, info, errInvalid, errPolicy, errTooBig, errUnknown, errUnsup } = OPTION_REPLY;

const query = (name: string, ...queries: string[]) => encodeMetaContextRequest({ name, queries });
const types = (replies: readonly { type: number }[]) => replies.map(({ type }) => type);

async function greeted(fixture = serveMemory(), flags: number = BOTH) {
  const client = new TestClient(fixture.server);
  await client.greet(flags);
  return { client, ...fixture };
}

test('greets as a fixed newstyle server', async () => {
  const client = new TestClient(serveMemory().server);
  expect(await client.message()).toEqual({ kind: 'greeting', flags: 3 });
});

test.each([4, 7, 0x80000003])(
  'hangs up on client flags %i, which were not offered',
  async (flags) => {
    const { client, log } = await greeted(serveMemory(), flags);
    await client.served;
    expect(log).toContain('a client broke the protocol');
  },
);

test('GO tells size, flags, sizes of blocks, and what was asked for', async () => {
  const { client } = await greeted();
  const request = encodeInfoRequest({ name: 'disk', kinds: [1, 2, 3, 77] });
  const replies = await client.option(OPTION.go, request);
  expect(replies.slice(0, -1).map(({ data }) => decodeInfo(data))).toEqual([
    { kind: 'export', size: SIZE, flags: 0b1101_0110_1101 },
    { kind: 'name', name: 'disk' },
    { kind: 'description', description: 'the disk' },
    { kind: 'blockSize', minimum: 1, preferred: 4096, maximum: 32 << 20 },
  ]);
  expect(replies.at(-1)?.type).toBe(ack);
});

test('INFO and GO say the same; a read-only export says so and offers no changes', async () => {
  const { client, leases, opens } = await greeted();
  const request = encodeInfoRequest({ name: 'locked', kinds: [] });
  const asked = await client.option(OPTION.info, request);
  expect([leases(), opens()]).toEqual([0, 1]);
  const gone = await client.option(OPTION.go, request);
  expect(gone.map(({ type, data }) => [type, data])).toEqual(
    asked.map(({ type, data }) => [type, data]),
  );
  const told = decodeInfo(asked[0]?.data ?? new Uint8Array(0));
  const flags = told.kind === 'export' ? told.flags : 0;
  expect(flags & TRANSMISSION_FLAG.readOnly).toBeTruthy();
  expect(flags & (TRANSMISSION_FLAG.sendTrim | TRANSMISSION_FLAG.sendWriteZeroes)).toBe(0);
});

test('DF is offered only with structured replies; agreeing twice is fine', async () => {
  const { client } = await greeted();
  expect(types(await client.option(OPTION.structuredReply))).toEqual([ack]);
  expect(types(await client.option(OPTION.structuredReply))).toEqual([ack]);
  expect(types(await client.option(OPTION.structuredReply, Buffer.from('x')))).toEqual([
    errInvalid,
  ]);
  const [first] = await client.option(OPTION.info, encodeInfoRequest({ name: '', kinds: [] }));
  const told = decodeInfo(first?.data ?? new Uint8Array(0));
  expect(told.kind === 'export' && told.flags & TRANSMISSION_FLAG.sendDf).toBeTruthy();
});

test('LIST tells names and descriptions, and refuses data after draining it', async () => {
  const { client } = await greeted();
  const bad = await client.option(OPTION.list, new Uint8Array(1000));
  expect(types(bad)).toEqual([errInvalid]);
  const replies = await client.option(OPTION.list);
  expect(replies.slice(0, -1).map(({ data }) => decodeServer(data))).toEqual([
    { name: 'disk', description: 'the disk' },
    { name: 'locked', description: '' },
  ]);
});

test.each([
  ['unknown', 0x7654321],
  ['withdrawn', OPTION.peekExport],
  ['extended headers', OPTION.extendedHeaders],
  ['TLS', OPTION.startTls],
])(
  'an option that is not served (%s) is UNSUP and leaves the stream in step',
  async (_, option) => {
    const { client } = await greeted();
    expect(types(await client.option(option))).toEqual([errUnsup]);
    const data = option === OPTION.startTls ? errInvalid : errUnsup;
    expect(types(await client.option(option, new Uint8Array(777)))).toEqual([data]);
    expect(types(await client.option(OPTION.structuredReply))).toEqual([ack]);
  },
);

test('a name that does not exist is UNKNOWN, in GO, INFO and contexts; the client may go on', async () => {
  const { client, leases } = await greeted();
  await client.option(OPTION.structuredReply);
  const request = encodeInfoRequest({ name: 'nothing', kinds: [] });
  expect(types(await client.option(OPTION.go, request))).toEqual([errUnknown]);
  expect(types(await client.option(OPTION.info, request))).toEqual([errUnknown]);
  expect(
    types(await client.option(OPTION.setMetaContext, query('nothing', 'base:allocation'))),
  ).toEqual([errUnknown]);
  const good = await client.option(OPTION.go, encodeInfoRequest({ name: '', kinds: [] }));
  expect(types(good)).toEqual([info, info, ack]);
  expect(leases()).toBe(1);
});

test('a catalog that fails says no more than UNKNOWN', async () => {
  const fixture = serveMemory({
    open: async () => {
      throw new Error('secret path');
    },
  });
  const { client } = await greeted(fixture);
  const [reply] = await client.option(OPTION.go, encodeInfoRequest({ name: '', kinds: [] }));
  expect(reply?.type).toBe(errUnknown);
  expect(Buffer.from(reply?.data ?? []).toString()).not.toContain('secret');
});

test.each([
  ['no data', Buffer.alloc(0), errInvalid],
  ['a name longer than the data', Buffer.from('0000000561620000', 'hex'), errInvalid],
  ['a name of 2^32 - 1 bytes', Buffer.from('ffffffff61620000', 'hex'), errInvalid],
  ['invalid UTF-8', Buffer.from('00000002c3280000', 'hex'), errInvalid],
  ['a NUL in the name', Buffer.from('00000002610000000000', 'hex'), errInvalid],
  ['trailing bytes', Buffer.from('00000001610000ff', 'hex'), errInvalid],
  ['a name of 4097 bytes', encodeLong(4097), errTooBig],
  ['a name of 4096 bytes', encodeLong(4096), errUnknown],
  ['more than 64 KiB', Buffer.alloc(70_000), errTooBig],
])('GO with %s is refused and leaves the stream in step', async (_, data, type) => {
  const { client, leases } = await greeted();
  expect(types(await client.option(OPTION.go, data))).toEqual([type]);
  expect(types(await client.option(OPTION.structuredReply))).toEqual([ack]);
  expect(leases()).toBe(0);
});

function encodeLong(length: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(length);
  return Buffer.concat([head, Buffer.alloc(length, 'n'), Buffer.alloc(2)]);
}

test('metadata contexts: wildcard in LIST only, unknown ones passed over, SET replaces', async () => {
  const { client } = await greeted();
  const { listMetaContext: LIST, setMetaContext: SET } = OPTION;
  expect(types(await client.option(SET, query('', 'base:allocation')))).toEqual([errInvalid]);
  await client.option(OPTION.structuredReply);
  const names = async (option: number, ...queries: string[]) =>
    (await client.option(option, query('', ...queries)))
      .filter(({ type }) => type === OPTION_REPLY.metaContext)
      .map(({ data }) => decodeMetaContext(data).name);
  expect(await names(LIST)).toEqual(['base:allocation']);
  expect(await names(LIST, 'base:')).toEqual(['base:allocation']);
  expect(await names(LIST, 'x-other:thing')).toEqual([]);
  expect(await names(SET)).toEqual([]);
  expect(await names(SET, 'base:')).toEqual([]);
  expect(await names(SET, 'qemu:dirty-bitmap:x', 'base:allocation')).toEqual(['base:allocation']);
  const many = query('', ...Array(65).fill('base:allocation'));
  expect(types(await client.option(SET, many))).toEqual([errTooBig]);
  const lying = Buffer.from('00000000ffffffff', 'hex');
  expect(types(await client.option(SET, lying))).toEqual([errInvalid]);
});

test('a context is bound to the name it was set for, and a failed SET forgets it', async () => {
  for (const [name, last] of [
    ['disk', undefined],
    ['', query('nothing', 'base:allocation')],
  ] as const) {
    const { server } = serveMemory();
    const client = new TestClient(server);
    await client.greet();
    await client.option(OPTION.structuredReply);
    await client.option(OPTION.setMetaContext, query('', 'base:allocation'));
    if (last !== undefined) await client.option(OPTION.setMetaContext, last);
    client.expectTransmission();
    await client.option(OPTION.go, encodeInfoRequest({ name, kinds: [] }));
    expect((await client.request({ type: 7, length: 4096 })).error).toBe(22);
  }
});

test.each([
  [BOTH, 10],
  [1, 134],
  [0, 134],
])('EXPORT_NAME with flags %i answers with %i bytes', async (flags, length) => {
  const { server, leases } = serveMemory();
  const client = new TestClient(server, 'old', { raw: true });
  await client.rawBytes(18);
  client.send(encodeClientFlags(flags), encodeOption(OPTION.exportName, Buffer.from('disk')));
  const reply = await client.rawBytes(length);
  expect(reply.readBigUInt64BE(0)).toBe(BigInt(SIZE));
  expect(reply.subarray(10).every((byte) => byte === 0)).toBe(true);
  expect(leases()).toBe(1);
  const read = { flags: 0, type: 0, cookieHigh: 0, cookieLow: 7, offset: 0, length: 512 };
  client.send(encodeRequest(read));
  const header = await client.rawBytes(16);
  expect(header.toString('hex')).toBe('67446698000000000000000000000007');
  expect(await client.rawBytes(512)).toEqual(Buffer.alloc(512));
  client.stream.destroy();
  await client.served;
  expect(leases()).toBe(0);
});

test('EXPORT_NAME of an unknown name hangs up', async () => {
  const { client, leases } = await greeted();
  client.send(encodeOption(OPTION.exportName, Buffer.from('nothing')));
  await client.served;
  expect(leases()).toBe(0);
});

test('ABORT is acknowledged and ends the session, data or not', async () => {
  for (const data of [undefined, Buffer.from('bye')]) {
    const { client } = await greeted();
    expect(types(await client.option(OPTION.abort, data))).toEqual([ack]);
    await client.served;
  }
});

test('garbage, oldstyle talk and options too long to drain end the session', async () => {
  const long = Buffer.from(encodeOption(OPTION.go));
  long.writeUInt32BE(0xffffffff, 12);
  for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(64), long]) {
    const { client } = await greeted();
    client.send(bytes);
    await client.served;
  }
});

test('the 33rd option ends the session, but LIST makes room for questions about what it told', async () => {
  const { client } = await greeted();
  for (let n = 0; n < 32; n += 1) await client.option(OPTION.structuredReply);
  expect(await client.option(OPTION.structuredReply)).toEqual([]);
  await client.served;
  const second = await greeted();
  await second.client.option(OPTION.list);
  for (let n = 0; n < 35; n += 1) await second.client.option(OPTION.structuredReply);
  expect(types(await second.client.option(OPTION.structuredReply))).toEqual([]);
});

test('a handshake takes at most ten seconds', async () => {
  const { client, timers, log } = await greeted();
  timers.advance(9_999);
  expect(types(await client.option(OPTION.structuredReply))).toEqual([ack]);
  timers.advance(1);
  await client.served;
  expect(log).toContain('a client did not finish its handshake in time');
});

test('at most 16 handshakes at once: the others wait, and get their turn', async () => {
  const fixture = serveMemory();
  const clients = Array.from({ length: 20 }, () => new TestClient(fixture.server));
  await settle();
  const waiting = clients[19] as TestClient;
  let greeting: unknown;
  void waiting.message().then((message) => {
    greeting = message;
  });
  await settle();
  expect(greeting).toBeUndefined();
  fixture.timers.advance(10_000);
  await settle();
  expect(greeting).toEqual({ kind: 'greeting', flags: 3 });
  await fixture.server.close();
  await Promise.all(clients.map((client) => client.served));
});

test('at most 100 connections; the next is closed at once', async () => {
  const fixture = serveMemory({ limits: { maxPerExport: 200 } });
  const clients: TestClient[] = [];
  for (let n = 0; n < 100; n += 1) {
    const client = new TestClient(fixture.server);
    expect(await client.connect()).toBe(ack);
    clients.push(client);
  }
  const late = new TestClient(fixture.server);
  await late.served;
  await late.ended;
  expect(fixture.server.clients()).toHaveLength(100);
  await fixture.server.close();
  expect(fixture.leases()).toBe(0);
});

test('at most 16 clients of one export', async () => {
  const { server } = serveMemory();
  for (let n = 0; n < 16; n += 1) expect(await new TestClient(server).connect('disk')).toBe(ack);
  expect(await new TestClient(server).connect('disk')).toBe(errPolicy);
  expect(await new TestClient(server).connect('locked')).toBe(ack);
});

test('a client that leaves while its export is being opened leaves no lease behind', async () => {
  const gate = latch();
  const fixture = serveMemory({ open: () => gate.opened });
  const { client } = await greeted(fixture);
  client.send(encodeOption(OPTION.go, encodeInfoRequest({ name: '', kinds: [] })));
  await settle();
  client.stream.destroy();
  await settle();
  gate.open();
  await client.served;
  expect([fixture.opens(), fixture.leases()]).toEqual([1, 0]);
});

test('close at every byte of the handshake harms nothing', async () => {
  const { server, leases } = serveMemory();
  const bytes = Buffer.concat([
    encodeClientFlags(3),
    encodeOption(OPTION.structuredReply),
    encodeOption(OPTION.setMetaContext, query('disk', 'base:allocation')),
    encodeOption(OPTION.go, encodeInfoRequest({ name: 'disk', kinds: [1, 2, 3] })),
  ]);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const client = new TestClient(server);
    client.send(bytes.subarray(0, cut));
    if (cut % 2 === 0) await settle(2);
    if (cut % 3 === 0) client.stream.end();
    else client.stream.destroy();
    await client.served;
  }
  expect(leases()).toBe(0);
  expect(await new TestClient(server).connect()).toBe(ack);
});
