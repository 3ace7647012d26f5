/**
 * Export: a snapshot, or what makes it of another one, as a change stream.
 *
 *   X1  Both snapshots stay open while the stream is read, so neither can be deleted under it.
 *   X2  A stream that starts further on is the same one without what comes before: a snapshot never
 *       changes, so a receiver goes on where it was.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { DATA_MAX, StreamEncoder } from '@palimpsest/change-stream';
import { changedBlocks } from '@palimpsest/rw-snapshot';
import { type FoundSnapshot, find } from './catalog.js';
import type { StoreContext } from './context.js';
import { stateOf } from './differences.js';
import type { ByteRange, ExportOptions } from './exchange-types.js';
import { ensureIdentity } from './identity.js';
import { quote } from './names.js';
import { snapshotAttributes } from './records.js';
import type { OpenExport } from './store-types.js';

/** Bytes of data after which a checkpoint is due. */
const CHECKPOINT_BYTES = 64 << 20;
/** Bytes whose extents are asked for together: a whole volume's may be many. */
const WINDOW = 1 << 30;

/** See `ExchangeVerbs.exportChanges`. `open` opens a reference as `Store.openExport`. */
export async function* exportChanges(
  context: StoreContext,
  open: (reference: string) => Promise<OpenExport>,
  reference: string,
  { from, startsAt = 0, checkpointBytes = CHECKPOINT_BYTES }: ExportOptions,
): AsyncGenerator<Uint8Array> {
  const to = exported(context, reference);
  const base = from === undefined ? undefined : exported(context, from);
  const opened: OpenExport[] = [];
  try {
    for (const each of base === undefined ? [to] : [to, base]) {
      opened.push(await open(each.reference)); // X1
    }
    const { name, message, createdAt } = snapshotAttributes(to.snapshot);
    const encoder = new StreamEncoder({
      blockSize: context.save.blockSize,
      size: to.snapshot.size,
      from: base === undefined ? null : await ensureIdentity(context, base.snapshot),
      to: {
        identity: await ensureIdentity(context, to.snapshot),
        name,
        ...(message === undefined ? {} : { message }),
        createdAt,
      },
      startsAt,
    });
    yield encoder.begin();
    const device = (opened[0] as OpenExport).device;
    const whole = base === undefined;
    let sent = 0;
    for await (const range of changedRanges(context, to, base, startsAt)) {
      for await (const part of contentOf(device, range)) {
        context.assertGoingOn();
        const { position, length, bytes } = part;
        if (bytes !== undefined) yield encoder.data(position, bytes);
        else if (!whole) yield encoder.zeros(position, length);
        sent += bytes?.length ?? 0;
        if (sent < checkpointBytes) continue;
        sent = 0;
        yield encoder.checkpoint(position + length);
      }
    }
    yield encoder.end();
  } finally {
    for (const each of opened) await each.release();
  }
}

/** Where the snapshot may differ from its base, or from nothing, from `startsAt` on (X2). */
async function* changedRanges(
  { save }: StoreContext,
  to: FoundSnapshot,
  base: FoundSnapshot | undefined,
  startsAt: number,
): AsyncGenerator<ByteRange> {
  const { size } = to.snapshot;
  if (base === undefined) {
    if (startsAt < size) yield { position: startsAt, length: size - startsAt };
    return;
  }
  for await (const { first, count } of changedBlocks(save, stateOf(base), stateOf(to))) {
    const position = Math.max(startsAt, first * save.blockSize);
    const end = Math.min(size, (first + count) * save.blockSize);
    if (end > position) yield { position, length: end - position };
  }
}

interface Part extends ByteRange {
  /** `undefined` for zeros. */
  readonly bytes?: Uint8Array;
}

/** The content of a range, in parts of at most 1 MiB of data; zeros are told, not read. */
async function* contentOf(device: BlockDevice, range: ByteRange): AsyncGenerator<Part> {
  const end = range.position + range.length;
  for (let position = range.position; position < end; ) {
    const window = Math.min(WINDOW, end - position);
    for (const { length, zero } of await device.extents(position, window)) {
      if (zero) yield { position, length };
      else yield* dataOf(device, position, length);
      position += length;
    }
  }
}

/** Reads data and splits it where it turns out to be whole blocks of zeros. */
async function* dataOf(device: BlockDevice, from: number, length: number): AsyncGenerator<Part> {
  const { blockSize } = device;
  for (let position = from; position < from + length; ) {
    const bytes = new Uint8Array(Math.min(DATA_MAX, from + length - position));
    await device.readInto(bytes, position);
    for (let at = 0; at < bytes.length; ) {
      const zero = isZero(bytes.subarray(at, at + blockSize));
      let to = at + blockSize;
      while (to < bytes.length && isZero(bytes.subarray(to, to + blockSize)) === zero) {
        to += blockSize;
      }
      const part = { position: position + at, length: to - at };
      yield zero ? part : { ...part, bytes: bytes.subarray(at, to) };
      at = to;
    }
    position += bytes.length;
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes.every((byte) => byte === 0);
}

/** @throws {StorageError} ERR_INVALID when it is no snapshot; ERR_NOT_FOUND. */
function exported(context: StoreContext, text: string): FoundSnapshot {
  const found = find(context.index, text, context.environment.now());
  if (found.kind === 'snapshot') return found;
  throw new StorageError(
    'ERR_INVALID',
    `${quote(text)} changes while it is read, so snapshots are what is exported; take one: ` +
      `pal snapshot create ${text}, and export ${text}@latest`,
  );
}
