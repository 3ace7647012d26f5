/**
 * Goal: a tree comes out as it went in, however its bytes are cut, and what is not whole is never taken for
 * it. Method: chunks of several sizes, every place to cut, and a failure on the way.
 */
import { expect, test } from 'vitest';
import type { TreePart } from './file-types.js';
import { decodeTree, encodeTree } from './tree-codec.js';

const OWNER = { mode: 0o644, uid: 1, gid: 2, atime: 1n << 60n, mtime: -5n } as const;
const TREE: readonly TreePart[] = [
  { kind: 'entry', path: '', type: 'directory', size: 0, ...OWNER },
  { kind: 'entry', path: 'b\u00ffx', type: 'file', size: 9000, ...OWNER },
  { kind: 'data', position: 4096, bytes: Uint8Array.from({ length: 300 }, (_, i) => i) },
  { kind: 'entry', path: 'l', type: 'symlink', size: 3, target: 'a"\n', ...OWNER },
  { kind: 'entry', path: 'same', type: 'file', size: 9000, link: 'b\u00ffx', ...OWNER },
];

async function* partsOf(parts: readonly TreePart[], failure?: Error): AsyncGenerator<TreePart> {
  yield* parts;
  if (failure !== undefined) throw failure;
}

async function encoded(parts: AsyncIterable<TreePart>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const bytes of encodeTree(parts, (error) => ({ message: String(error) }))) {
    all.push(bytes);
  }
  return Buffer.concat(all);
}

async function decoded(bytes: Uint8Array, chunk: number): Promise<TreePart[]> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
  }
  const parts: TreePart[] = [];
  const told = ({ message }: { message: string }): Error => new Error(`told: ${message}`);
  for await (const part of decodeTree(chunks(), told)) {
    parts.push(part.kind === 'data' ? { ...part, bytes: Uint8Array.from(part.bytes) } : part);
  }
  return parts;
}

test.each([1, 7, 64, 100_000])(
  'in chunks of %i bytes it comes out as it went in',
  async (chunk) => {
    expect(await decoded(await encoded(partsOf(TREE)), chunk)).toEqual(TREE);
  },
);

test('cut off anywhere it is not taken for whole', async () => {
  const bytes = await encoded(partsOf(TREE));
  for (let length = 0; length < bytes.length; length += 13) {
    await expect(decoded(bytes.subarray(0, length), 50)).rejects.toMatchObject({ code: 'ERR_IO' });
  }
});

test('a failure on the way is told on the other side', async () => {
  const bytes = await encoded(partsOf(TREE.slice(0, 2), new Error('the disk is on fire')));
  await expect(decoded(bytes, 50)).rejects.toThrow('told: Error: the disk is on fire');
});

test('what is no tree is refused, and no length in it is believed', async () => {
  const wild = [
    Buffer.from('hello, I am no tree'),
    Buffer.from([255, 255, 255, 255, 0, 0, 0, 0]),
    Buffer.from([2, 0, 0, 0, 255, 255, 255, 127, 0x7b, 0x7d]),
    Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]),
    Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7b]),
  ];
  for (const bytes of wild) {
    await expect(decoded(bytes, 50)).rejects.toMatchObject({ code: 'ERR_CORRUPT' });
  }
});
