/** Steps that read, write and flush volumes and branches, make them larger, and reopen the store. */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import { resizeBranch } from '@palimpsest/rw-snapshot';
import { demand, Violation } from '../compare.js';
import type { History } from '../history.js';
import type { Asked } from '../model/event.js';
import type { Range } from '../model/register.js';
import { SECTOR } from '../payload.js';
import { cloneDisk, payload, SAVE_DISK } from '../session.js';

/** Writes blocks of a volume or branch. */
export async function write(history: History, random: Random, space: string): Promise<void> {
  await put(history, space, history.range(random, space, 8));
}

/** Writes some sectors. */
export async function put(history: History, space: string, range: Range): Promise<void> {
  const { first, count } = range;
  const id = history.ids.next++;
  await history.tell({ kind: 'write', space, first, count, id }, () =>
    history.session.device(space).write(payload(id, first, count), first * SECTOR),
  );
}

/** Flushes one volume or branch. */
export async function flush(history: History, space: string): Promise<void> {
  const { world } = history.session;
  const asked = world.point;
  await history.tell({ kind: 'flush', spaces: [space] }, async () => {
    await history.session.device(space).flush();
    // A crash right here would tell too; looking at the trace tells each time, and says what.
    for (const { change, lost } of world.pending()) {
      if (change.device !== cloneDisk(space) || change.completeAt > asked || lost) continue;
      throw new Violation(`I5: a flush of ${space} was answered before event ${change.index}`);
    }
  });
}

export async function zero(history: History, random: Random): Promise<void> {
  const space = history.space(random);
  await putZeros(history, space, history.range(random, space, 12), random.chance(0.3));
}

/** Writes zeros to some sectors. */
export async function putZeros(
  history: History,
  space: string,
  { first, count }: Range,
  allocate: boolean,
): Promise<void> {
  await history.tell({ kind: 'write', space, first, count, id: 0 }, () =>
    history.session.device(space).zero(first * SECTOR, count * SECTOR, { allocate }),
  );
}

/** A discard may do nothing, block by block (D9): the model learns by reading which it did. */
export async function discard(history: History, random: Random): Promise<void> {
  const space = history.space(random);
  const perBlock = history.geometry.blockSize / SECTOR;
  const { first, count } = history.range(random, space, 6);
  const events: Asked[] = [];
  for (let at = first; at < first + count; at += perBlock) {
    events.push({ kind: 'write', space, first: at, count: perBlock, id: 0 });
  }
  history.operations++;
  for (const event of events) history.log(event);
  const device = history.session.device(space);
  const bytes = new Uint8Array(count * SECTOR);
  try {
    await device.discard(first * SECTOR, count * SECTOR);
    await device.readInto(bytes, first * SECTOR);
  } catch (error) {
    for (const key of events) history.log({ kind: 'answer', key, result: 'refused' });
    history.admit(error, events[0] as Asked);
    return;
  }
  for (const [index, key] of events.entries()) {
    const start = index * perBlock * SECTOR;
    const block = bytes.subarray(start, start + perBlock * SECTOR);
    const isZero = block.every((byte) => byte === 0);
    history.log({ kind: 'answer', key, result: isZero ? 'done' : 'weak' });
  }
}

/** A commit makes what branches hold durable. */
export async function commit(history: History): Promise<void> {
  const spaces = history.branches().map(({ name }) => name);
  await history.tell({ kind: 'flush', spaces }, () => history.session.save.commit());
}

/** Makes a volume or branch larger, up to half again. */
export async function grow(history: History, random: Random): Promise<void> {
  const space = history.space(random);
  const { blockSize, volumeBlocks } = history.geometry;
  const perBlock = blockSize / SECTOR;
  const blocks = history.model.length(space) / perBlock + random.between(1, 4);
  if (blocks > volumeBlocks * 1.5) return;
  const event: Asked = { kind: 'grow', space, length: blocks * perBlock };
  history.onSnapshots(space, 'uncertain');
  await history.tell(event, () =>
    history.model.volumes.includes(space)
      ? history.session.volume(space).resize(blocks * blockSize)
      : resizeBranch(history.session.save, history.session.branch(space).id, blocks * blockSize),
  );
}

/** A disk cannot be read for once: that is an error to who reads, and changes nothing (R15). */
export async function readError(history: History, random: Random): Promise<void> {
  const names = [...history.snapshots().map(({ name }) => name), ...history.model.volumes];
  const name = random.pick([...names, ...history.branches().map((branch) => branch.name)]);
  const { session, model } = history;
  const isSnapshot = model.snapshot(name) !== undefined;
  // A commit that begins by itself must not be what hears of it: it would rightly end the session.
  await session.save.commit().catch((error: unknown) => {
    if (!history.broken) throw error;
  });
  const fault = session.failRead(random.chance(0.7) ? SAVE_DISK : random.pick(session.clones));
  history.operations++;
  try {
    const ids = await (isSnapshot ? session.readSnapshot(name) : session.readSpace(name));
    if (history.broken) return;
    demand(isSnapshot ? model.complainOfSnapshot(name, ids) : model.complain(name, ids, 'now'));
  } catch (error) {
    if (!isStorageError(error, 'ERR_IO') && !history.broken) throw error;
  } finally {
    fault.heal();
  }
}

/** A proper end, and a new start. What was answered before is durable then. */
export async function reopen(history: History): Promise<void> {
  if (history.broken) return;
  const spaces = [...history.model.volumes, ...history.branches().map(({ name }) => name)];
  await history.tell({ kind: 'flush', spaces }, async () => {
    try {
      await history.session.close();
    } catch (cause) {
      throw new Violation(`a store that is full or not must close: ${String(cause)}`);
    }
  });
  await history.reopen();
}
