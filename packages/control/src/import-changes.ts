/**
 * Import: the changes of a stream, made to a volume, and the snapshot that they make of it.
 *
 *   I1  A stream is applied only where its base is the present content: the volume has that snapshot,
 *       and nothing was changed since; or it is a new volume, and the stream a whole one.
 *   I2  See unfinished-imports.ts.
 *   I3  What is noted as there is durable in the image: it is flushed first.
 *   I4  The snapshot, and that the import has ended, become durable in one commit, after the stream was
 *       found whole.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { StreamDecoder, type StreamHeader, type StreamRecord } from '@palimpsest/change-stream';
import type { ProductionVolume, SnapshotRecord, VolumeRecord } from '@palimpsest/ro-snapshot';
import { changedBlocks } from '@palimpsest/rw-snapshot';
import { judgeSnapshots } from './attendants.js';
import { findVolume } from './catalog.js';
import { assertUnused, type StoreContext } from './context.js';
import type { ImportInfo, ImportOptions } from './exchange-types.js';
import { identityOf } from './identity.js';
import { assertName } from './names.js';
import { snapshotAttributes } from './records.js';
import { snapshotReference } from './references.js';
import type { Serial } from './serial.js';
import type { Share } from './shared-exports.js';
import type { CreateVolumeRequest, VolumeInfo } from './store-types.js';
import {
  assertNoImport,
  importOf,
  isSameImport,
  putImport,
  type StoredImport,
  youngestOf,
} from './unfinished-imports.js';

/** Bytes compared at a time. */
const COMPARED = 1 << 20;

/** How an import reaches the rest of the store. */
export interface ImportMeans {
  /** Runs a change when its turn comes. */
  readonly change: Serial;
  readonly createVolume: (request: CreateVolumeRequest) => Promise<VolumeInfo>;
}

/** An import under way. */
interface Work {
  readonly volume: number;
  readonly header: StreamHeader;
  readonly production: ProductionVolume;
  readonly share: Share;
  importing: StoredImport;
}

/** See `ExchangeVerbs.importChanges`. */
export async function importChanges(
  context: StoreContext,
  means: ImportMeans,
  stream: AsyncIterable<Uint8Array>,
  options: ImportOptions,
): Promise<ImportInfo> {
  const decoder = new StreamDecoder();
  let work: Work | undefined;
  let done: ImportInfo | undefined;
  try {
    for await (const chunk of stream) {
      for (const record of decoder.push(chunk)) {
        context.assertGoingOn();
        if (record.kind === 'header') {
          work = await means.change(() => begin(context, means, record.header, options));
        } else if (record.kind === 'trailer') {
          const { dataBytes, zeroBytes } = record;
          const { identity } = (work as Work).header.to;
          done = { snapshot: '', identity, dataBytes, zeroBytes };
        } else await apply(context, work as Work, record, options);
      }
    }
    decoder.end();
    const ended = work as Work;
    const snapshot = await means.change(() => finish(context, ended, options));
    return { ...(done as ImportInfo), snapshot };
  } finally {
    await work?.share.release();
  }
}

/** I1. Everything is looked at before anything is changed. */
async function begin(
  context: StoreContext,
  means: ImportMeans,
  header: StreamHeader,
  options: ImportOptions,
): Promise<Work> {
  const { index, save } = context;
  const name = options.name ?? header.to.name;
  assertName('volume', options.volume);
  assertName('snapshot', name);
  await assertUnused(context, [options.volume]); // First: what is mounted is written out by it.
  if (header.blockSize % save.blockSize !== 0) {
    throw new StorageError(
      'ERR_INVALID',
      `the stream has blocks of ${header.blockSize} bytes, and this store of ${save.blockSize}: ` +
        `import it into a store made with --block-size ${header.blockSize}`,
    );
  }
  let volume = index.volumeNamed(options.volume);
  const unfinished = volume === undefined ? undefined : importOf(volume);
  if (unfinished !== undefined) assertGoesOn(volume as VolumeRecord, unfinished, header);
  else {
    if (header.startsAt > 0) throw startsTooLate(options.volume, header, 0);
    if (volume !== undefined) await assertStandsOnBase(context, volume, header, name);
    else {
      if (header.from !== null) throw noBase(options.volume, header, 'there is no such volume');
      await means.createVolume({ name: options.volume, size: header.size });
      volume = findVolume(index, options.volume);
    }
  }
  const record = volume as VolumeRecord;
  const { production } = await context.attached.attach(record);
  const share = await context.shared.acquire(options.volume, async () => ({
    device: production.device,
    close: async () => {},
  }));
  try {
    const { from, to, size } = header;
    const importing = unfinished ?? { from, to, size, youngest: youngestOf(record), position: 0 };
    await save.transact((batch) => putImport(save, batch, record.id, importing));
    if (size > production.size) await production.resize(size);
    return { volume: record.id, header, production, share, importing };
  } catch (error) {
    share.release().catch(() => undefined); // has its turn after this
    throw error;
  }
}

/** A change, or a checkpoint. */
async function apply(
  context: StoreContext,
  work: Work,
  record: Exclude<StreamRecord, { readonly kind: 'header' | 'trailer' }>,
  { onProgress }: ImportOptions,
): Promise<void> {
  const { production, header, importing } = work;
  const { position } = record;
  onProgress?.({ phase: 'importing', done: position, total: header.size, unit: 'bytes' });
  if (record.kind === 'checkpoint') {
    if (position > importing.position) await note(context, work, position);
    return;
  }
  const length = record.kind === 'data' ? record.bytes.length : record.length;
  if (position + length <= importing.position) return; // is there already
  if (record.kind === 'data') await production.device.write(record.bytes, position);
  else await production.device.zero(position, length);
}

/** I3. */
async function note(context: StoreContext, work: Work, position: number): Promise<void> {
  const { save } = context;
  await work.production.device.flush();
  work.importing = { ...work.importing, position };
  await save.transact((batch) => putImport(save, batch, work.volume, work.importing));
}

/** I4. The reference of the snapshot. */
async function finish(context: StoreContext, work: Work, options: ImportOptions): Promise<string> {
  const { save, index } = context;
  const record = findVolume(index, options.volume);
  const isOurs = record.id === work.volume && importOf(record) !== undefined;
  if (!isOurs) {
    throw new StorageError(
      'ERR_IN_USE',
      `${options.volume} was restored, or had a snapshot taken, during the import, which is given up`,
    );
  }
  const { identity, message, createdAt } = work.header.to;
  const name = options.name ?? work.header.to.name;
  assertNameFree(record, name);
  const attributes = { name, createdAt, identity, ...(message === undefined ? {} : { message }) };
  await work.production.createSnapshot(attributes, {
    alongside: (batch) => putImport(save, batch, work.volume, undefined),
  });
  const reference = snapshotReference(options.volume, name);
  await judgeSnapshots(context, [reference]);
  return reference;
}

function assertGoesOn(volume: VolumeRecord, unfinished: StoredImport, header: StreamHeader): void {
  if (!isSameImport(unfinished, header)) assertNoImport(volume);
  if (header.startsAt <= unfinished.position) return;
  throw startsTooLate(String(volume.attributes.name), header, unfinished.position);
}

/** I1, for a volume that is there. */
async function assertStandsOnBase(
  context: StoreContext,
  volume: VolumeRecord,
  header: StreamHeader,
  name: string,
): Promise<void> {
  const target = String(volume.attributes.name);
  const { from, to, size } = header;
  const present = volume.snapshots.find((each) => identityOf(each) === to.identity);
  if (present !== undefined) {
    const reference = snapshotReference(target, snapshotAttributes(present).name);
    throw new StorageError('ERR_EXISTS', `what the stream makes is there already: ${reference}`);
  }
  assertNameFree(volume, name);
  if (from === null) {
    throw new StorageError(
      'ERR_EXISTS',
      `the stream is a whole volume, and there is a volume ${target} already: import it under ` +
        'another name: pal import --to NAME',
    );
  }
  const base: SnapshotRecord | undefined = volume.snapshots.find(
    (each) => identityOf(each) === from,
  );
  if (base === undefined) throw noBase(target, header, `${target} has no such snapshot`);
  const reference = snapshotReference(target, snapshotAttributes(base).name);
  if (size < volume.size) {
    throw new StorageError(
      'ERR_INVALID',
      `${target} has ${volume.size} bytes and the stream is of ${size}: volumes do not shrink`,
    );
  }
  await assertSameContent(context, volume, base, reference);
}

/** I1: what the block map says may differ is compared. */
async function assertSameContent(
  context: StoreContext,
  volume: VolumeRecord,
  base: SnapshotRecord,
  reference: string,
): Promise<void> {
  const { save } = context;
  const { production } = await context.attached.attach(volume);
  const snapshot = production.openSnapshot(base.id);
  try {
    await save.commit();
    const states = [
      { kind: 'volume', id: volume.id },
      { kind: 'snapshot', id: base.id },
    ] as const;
    for await (const { first, count } of changedBlocks(save, ...states)) {
      const end = (first + count) * save.blockSize;
      for (let position = first * save.blockSize; position < end; position += COMPARED) {
        const length = Math.min(COMPARED, end - position);
        const isSame =
          position + length <= snapshot.size &&
          (await readsTheSame(production.device, snapshot, position, length));
        if (isSame) continue;
        throw changedSince(String(volume.attributes.name), reference, position);
      }
    }
  } finally {
    await snapshot.close();
  }
}

async function readsTheSame(
  a: BlockDevice,
  b: BlockDevice,
  position: number,
  length: number,
): Promise<boolean> {
  const [bytesA, bytesB] = [new Uint8Array(length), new Uint8Array(length)];
  await a.readInto(bytesA, position);
  await b.readInto(bytesB, position);
  return Buffer.compare(bytesA, bytesB) === 0;
}

function changedSince(target: string, reference: string, position: number): StorageError {
  return new StorageError(
    'ERR_IN_USE',
    `${target} was changed since ${reference}, the base of the stream, at byte ${position} for one; ` +
      `see where: pal diff ${reference} ${target}; go back to it: ` +
      `pal restore ${target} --from ${reference}`,
  );
}

function assertNameFree(volume: VolumeRecord, name: string): void {
  if (!volume.snapshots.some((each) => snapshotAttributes(each).name === name)) return;
  throw new StorageError(
    'ERR_EXISTS',
    `${volume.attributes.name} has another snapshot ${name}; give this one a name of its own: ` +
      'pal import --name NAME',
  );
}

function noBase(volume: string, { from, to }: StreamHeader, why: string): StorageError {
  return new StorageError(
    'ERR_NOT_FOUND',
    `the stream makes ${to.name} of the snapshot with identity ${from}, and ${why}; import that one ` +
      `into ${volume} first`,
  );
}

function startsTooLate(volume: string, { startsAt }: StreamHeader, position: number): StorageError {
  return new StorageError(
    'ERR_INVALID',
    `the stream starts at byte ${startsAt} and ${volume} has it up to ${position}; export it from ` +
      `there: pal export ... --start ${position}`,
  );
}
