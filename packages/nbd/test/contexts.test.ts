/**
 * Goal: metadata contexts beside `base:allocation`: listed, chosen and answered as the protocol has
 * it, in process. Method: two contexts of the catalog's, one of which can vanish.
 */
import { createMemoryDevice, StorageError } from '@palimpsest/block-device';
import {
  COMMAND_FLAG,
  decodeMetaContext,
  encodeInfoRequest,
  encodeMetaContextRequest,
  NBD_ERROR,
  OPTION,
  OPTION_REPLY,
  type Reply,
} from '@palimpsest/nbd-codec';
import { expect, test } from 'vitest';
import type { MetaContext } from '../src/index.js';
import { TestClient } from './client.js';
import { latch, SIZE, serveMemory, settle } from './fixture.js';

const DEPTH = 'qemu:allocation-depth';
const DIRTY = 'qemu:dirty-bitmap:disk@monday';
const BLOCK = 4096;

/** Every `period`-th block has the flags 1, asked for at most `most` bytes at a time. */
function striped(name: string, period: number, most = SIZE): MetaContext {
  return {
    name,
    async describe(position, length) {
      expect([position % BLOCK, length % BLOCK]).toEqual([0, 0]);
      const extents = [];
      for (let at = position; at < position + Math.min(length, most); at += BLOCK) {
        extents.push({ length: BLOCK, flags: (at / BLOCK) % period === 0 ? 1 : 0 });
      }
      return extents;
    },
  };
}

const offer = () => [striped(DEPTH, 2), striped(DIRTY, 3)];

function extentsOf(replies: readonly Reply[]) {
  return replies.map((reply) => {
    if (reply.kind !== 'status') throw new Error(`a ${reply.kind}`);
    return [reply.contextId, reply.extents, reply.done] as const;
  });
}

async function listed(queries: readonly string[], option: number = OPTION.listMetaContext) {
  const client = new TestClient(serveMemory({ contexts: offer }).server);
  await client.greet();
  await client.option(OPTION.structuredReply);
  const replies = await client.option(option, encodeMetaContextRequest({ name: 'disk', queries }));
  expect(replies.at(-1)?.type).toBe(OPTION_REPLY.ack);
  return replies.slice(0, -1).map(({ data }) => decodeMetaContext(data));
}

test.each([
  [[], ['base:allocation', DEPTH, DIRTY]],
  [['qemu:'], [DEPTH, DIRTY]],
  [['qemu:dirty-bitmap:'], [DIRTY]],
  [
    ['base:', DIRTY],
    ['base:allocation', DIRTY],
  ],
  [['qemu', 'x-other:', 'qemu:dirty-bitmap:disk'], []],
])('X1 LIST of %j', async (queries, names) => {
  expect((await listed(queries)).map(({ name }) => name)).toEqual(names);
});

test('X1, X2 SET takes exact names only, each once, and numbers them', async () => {
  const chosen = await listed(
    [DIRTY, 'qemu:', 'base:', 'qemu:dirty-bitmap:', DIRTY, 'base:allocation', 'qemu:nothing'],
    OPTION.setMetaContext,
  );
  expect(chosen).toEqual([
    { id: 1, name: DIRTY },
    { id: 2, name: 'base:allocation' },
  ]);
});

test('a status answers every chosen context, by id, in one reply whose last chunk ends it', async () => {
  const client = new TestClient(serveMemory({ contexts: offer }).server);
  await client.connect('disk', { contexts: [DIRTY, 'base:allocation', DEPTH] });
  const { error, replies } = await client.request({ type: 7, offset: 100, length: 3 * BLOCK });
  expect(error).toBe(0);
  expect(extentsOf(replies)).toEqual([
    [
      1,
      [
        { length: BLOCK - 100, flags: 1 },
        { length: 2 * BLOCK, flags: 0 },
        { length: 100, flags: 1 },
      ],
      false,
    ],
    [2, [{ length: 3 * BLOCK, flags: 0 }], false],
    [
      3,
      [
        { length: BLOCK - 100, flags: 1 },
        { length: BLOCK, flags: 0 },
        { length: BLOCK, flags: 1 },
        { length: 100, flags: 0 },
      ],
      true,
    ],
  ]);
});

test('REQ_ONE is one extent of each, none past the range', async () => {
  const client = new TestClient(serveMemory({ contexts: offer }).server);
  await client.connect('disk', { contexts: [DIRTY, DEPTH] });
  const flags = COMMAND_FLAG.reqOne;
  const { replies } = await client.request({ type: 7, flags, offset: BLOCK, length: SIZE - BLOCK });
  expect(extentsOf(replies).map(([, extents]) => extents)).toEqual([
    [{ length: 2 * BLOCK, flags: 0 }],
    [{ length: BLOCK, flags: 0 }],
  ]);
});

test('a context that tells little at a time is asked on, and equal extents become one', async () => {
  const client = new TestClient(serveMemory({ contexts: () => [striped(DEPTH, 7, BLOCK)] }).server);
  await client.connect('disk', { contexts: [DEPTH] });
  const { replies } = await client.request({ type: 7, offset: 0, length: 8 * BLOCK });
  expect(extentsOf(replies)[0]?.[1]).toEqual([
    { length: BLOCK, flags: 1 },
    { length: 6 * BLOCK, flags: 0 },
    { length: BLOCK, flags: 1 },
  ]);
});

test('T2 with many contexts each says less, and the answer stays within its charge', async () => {
  const size = 1 << 30;
  const names = Array.from({ length: 64 }, (_, index) => `qemu:dirty-bitmap:${index}`);
  const contexts = () =>
    names.map((name) => ({
      name,
      describe: async () => Array.from({ length: 1000 }, (_, i) => ({ length: BLOCK, flags: i })),
    }));
  const { server } = serveMemory({ contexts, device: createMemoryDevice({ size }) });
  const client = new TestClient(server);
  await client.connect('disk', { contexts: names });
  const { replies } = await client.request({ type: 7, offset: 0, length: 1 << 28 });
  const extents = extentsOf(replies).map(([, each]) => each.length);
  expect(extents).toEqual(Array.from({ length: 64 }, () => 256));
});

test('what a context throws is an error, with nothing of the others before it', async () => {
  const broken: MetaContext = {
    name: DIRTY,
    async describe() {
      throw new StorageError('ERR_NOT_FOUND', 'the snapshot is gone');
    },
  };
  const client = new TestClient(
    serveMemory({ contexts: () => [striped(DEPTH, 2), broken] }).server,
  );
  await client.connect('disk', { contexts: [DEPTH, DIRTY] });
  const { error, text, replies } = await client.request({ type: 7, offset: 0, length: BLOCK });
  expect([error, text, replies.length]).toEqual([NBD_ERROR.eio, 'the snapshot is gone', 1]);
});

test('a context that describes nothing is an error in the log, not an endless answer', async () => {
  const empty: MetaContext = { name: DIRTY, describe: async () => [] };
  const { server, log } = serveMemory({ contexts: () => [empty] });
  const client = new TestClient(server);
  await client.connect('disk', { contexts: [DIRTY] });
  const { error } = await client.request({ type: 7, offset: 0, length: BLOCK });
  expect([error, log.includes('a request failed')]).toEqual([NBD_ERROR.eio, true]);
});

test('X3 a chosen context that is gone at GO is an error, not an answer without it', async () => {
  let there = true;
  const { server, leases } = serveMemory({ contexts: () => (there ? offer() : []) });
  const client = new TestClient(server);
  await client.greet();
  await client.option(OPTION.structuredReply);
  const query = encodeMetaContextRequest({ name: 'disk', queries: [DIRTY] });
  await client.option(OPTION.setMetaContext, query);
  there = false;
  const go = encodeInfoRequest({ name: 'disk', kinds: [] });
  const [refused] = await client.option(OPTION.go, go);
  expect(refused?.type).toBe(OPTION_REPLY.errUnknown);
  expect(Buffer.from(refused?.data ?? []).toString()).toContain('choose again');
  expect(leases()).toBe(0);
  await client.option(OPTION.setMetaContext, query);
  expect((await client.option(OPTION.go, go)).at(-1)?.type).toBe(OPTION_REPLY.ack);
});

test('the catalog is asked for contexts by a client that wants one, and by no other', async () => {
  let asked = 0;
  const contexts = () => {
    asked += 1;
    return offer();
  };
  const { server } = serveMemory({ contexts });
  await new TestClient(server).connect('disk', { contexts: ['base:allocation'] });
  await new TestClient(server).connect('disk', { contexts: [] });
  expect(asked).toBe(0);
  await new TestClient(server).connect('disk', { contexts: [DEPTH] });
  expect(asked).toBe(2); // as it chooses, and as the export is opened for good (X3)
});

test('a client that leaves while 4 GiB are described is noticed between two slices', async () => {
  const gate = latch();
  let asked = 0;
  const slow: MetaContext = {
    name: DEPTH,
    async describe(_, length) {
      asked += 1;
      await gate.opened;
      return [{ length, flags: asked % 2 }];
    },
  };
  const device = createMemoryDevice({ size: 2 ** 32 });
  const { server, leases } = serveMemory({ device, contexts: () => [slow] });
  const client = new TestClient(server);
  await client.connect('disk', { contexts: [DEPTH] });
  client.request({ type: 7, offset: 0, length: 2 ** 32 - BLOCK });
  await settle();
  client.stream.destroy();
  await settle();
  gate.open();
  await client.served;
  expect([asked, leases()]).toEqual([1, 0]);
});
