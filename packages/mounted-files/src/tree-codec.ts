/**
 * The bytes of a tree between a daemon and its clients: frames of a header in JSON and data, each after
 * its length (u32, little-endian), and a last one that says that it is whole, or why it is not.
 */
import { StorageError } from '@palimpsest/block-device';
import type { TreePart } from './file-types.js';

/** Bytes of a header at most: far more than any. */
const HEADER_MAX = 1 << 20;
/** Bytes of data in a frame at most. */
const DATA_MAX = 8 << 20;
const NOTHING = new Uint8Array(0);

/** A tree as bytes. `describe` says of a failure what the other side is told. */
export async function* encodeTree(
  parts: AsyncIterable<TreePart>,
  describe: (error: unknown) => object,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const part of parts) {
      if (part.kind === 'data') yield frame({ kind: 'data', position: part.position }, part.bytes);
      else yield frame({ ...part, atime: String(part.atime), mtime: String(part.mtime) });
    }
  } catch (error) {
    yield frame({ kind: 'error', ...describe(error) });
    return;
  }
  yield frame({ kind: 'end' });
}

/**
 * The parts of a tree. `failure` makes an error of what the other side was told.
 * @throws {StorageError} ERR_CORRUPT for what is no tree; ERR_IO when it was cut off
 */
export async function* decodeTree(
  bytes: AsyncIterable<Uint8Array>,
  failure: (told: never) => Error,
): AsyncGenerator<TreePart> {
  const reader = new Frames(bytes);
  for (;;) {
    const { header, data } = await reader.next();
    if (header.kind === 'end') return;
    if (header.kind === 'error') throw failure(header as never);
    if (header.kind === 'data') {
      const { position } = header as { position?: unknown };
      if (!Number.isSafeInteger(position) || (position as number) < 0) throw noTree();
      yield { kind: 'data', position: position as number, bytes: data };
    } else if (header.kind === 'entry') {
      const { atime, mtime } = header as { atime?: unknown; mtime?: unknown };
      yield { ...header, atime: BigInt(String(atime)), mtime: BigInt(String(mtime)) } as TreePart;
    } else throw noTree();
  }
}

function frame(header: object, data: Uint8Array = NOTHING): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const bytes = Buffer.allocUnsafe(8 + text.length + data.length);
  bytes.writeUInt32LE(text.length, 0);
  bytes.writeUInt32LE(data.length, 4);
  text.copy(bytes, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** Takes frames out of chunks of any size. */
class Frames {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = NOTHING;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  async next(): Promise<{ header: { kind: string }; data: Uint8Array }> {
    const lengths = Buffer.from(await this.#take(8));
    const [header, data] = [lengths.readUInt32LE(0), lengths.readUInt32LE(4)];
    if (header > HEADER_MAX || data > DATA_MAX) throw noTree();
    const text = Buffer.from(await this.#take(header)).toString();
    try {
      return { header: JSON.parse(text), data: await this.#take(data) };
    } catch (error) {
      if (error instanceof SyntaxError) throw noTree();
      throw error;
    }
  }

  async #take(length: number): Promise<Uint8Array> {
    const gathered = [this.#rest];
    let have = this.#rest.length;
    while (have < length) {
      const next = await this.#chunks.next();
      if (next.done === true) throw new StorageError('ERR_IO', 'the files came to an early end');
      gathered.push(next.value);
      have += next.value.length;
    }
    const all = gathered.length === 1 ? this.#rest : Buffer.concat(gathered);
    this.#rest = all.subarray(length);
    return all.subarray(0, length);
  }
}

function noTree(): StorageError {
  return new StorageError('ERR_CORRUPT', 'what came is no tree of files');
}
