/**
 * Group snapshots: several volumes and branches as they are at one instant, in one commit.
 *
 *   G1  All members are stopped before any of them is drained: no write that began after another
 *       member's write was answered is in the group unless that one is too, so the order in which
 *       clients wrote is kept between members.
 *   G2  Members are stopped in order of id, so that two groups at once never wait for each other.
 *   G3  One commit makes all the snapshots exist, or none (I6).
 */
import { StorageError } from '@palimpsest/block-device';
import type { Attributes, Batch, SaveVolume } from '@palimpsest/save-volume';
import type { SnapshotRecord } from './records.js';
import type { Alongside } from './snapshot-queue.js';
import type { BlockRun } from './unused-spans.js';

/** Something at rest, about to have its snapshot taken. */
export interface StoppedTaker {
  /**
   * Everything that was answered is durable when it resolves. `unused` are runs of blocks that hold
   * nothing worth keeping; one who has no use for the hint ignores it.
   */
  drain(unused?: Iterable<BlockRun>): Promise<void>;
  /** Puts the snapshot into the batch of the commit that makes it exist. */
  add(batch: Batch, attributes: Attributes): SnapshotRecord;
  /** That commit is durable: changes from now on are changes after the snapshot. */
  added(): void;
}

/** What snapshots can be taken of: a production volume or a branch. */
export interface SnapshotTaker {
  /** Unique in the store. */
  readonly id: number;
  readonly save: SaveVolume;
  /** Runs `work` with no request in flight; those that come meanwhile wait for its end. */
  stopped<Result>(work: (stopped: StoppedTaker) => Promise<Result>): Promise<Result>;
}

/** One member of a group, and what its snapshot is to carry. */
export interface GroupMember {
  readonly taker: SnapshotTaker;
  readonly attributes: Attributes;
  /** Runs of its blocks that hold nothing worth keeping. */
  readonly unused?: Iterable<BlockRun>;
}

/**
 * Takes a snapshot of every member, all at one instant. Durable when it resolves; the records are in
 * the order of the members.
 * @throws {StorageError} ERR_INVALID when there is no member, one comes twice, or they are of two
 * stores; ERR_NO_SPACE, and no snapshot.
 */
export async function createSnapshots(
  members: readonly GroupMember[],
  alongside?: Alongside,
): Promise<readonly SnapshotRecord[]> {
  const save = assertGroup(members);
  const inOrder = [...members].sort((a, b) => a.taker.id - b.taker.id); // G2
  const records = new Map<GroupMember, SnapshotRecord>();
  await stopAll(inOrder, [], async (stopped) => {
    await Promise.all(stopped.map((each, index) => each.drain(inOrder[index]?.unused)));
    await save.transact((batch) => {
      for (const [index, member] of inOrder.entries()) {
        const record = (stopped[index] as StoppedTaker).add(batch, member.attributes);
        records.set(member, record);
      }
      alongside?.(batch);
    });
    for (const each of stopped) each.added();
  });
  return members.map((member) => records.get(member) as SnapshotRecord);
}

/** G1. */
function stopAll(
  members: readonly GroupMember[],
  stopped: readonly StoppedTaker[],
  work: (stopped: readonly StoppedTaker[]) => Promise<void>,
): Promise<void> {
  const next = members[stopped.length];
  if (next === undefined) return work(stopped);
  return next.taker.stopped((each) => stopAll(members, [...stopped, each], work));
}

function assertGroup(members: readonly GroupMember[]): SaveVolume {
  const save = members[0]?.taker.save;
  if (save === undefined)
    throw new StorageError('ERR_INVALID', 'a group needs at least one member');
  const ids = new Set(members.map(({ taker }) => taker.id));
  if (ids.size < members.length) {
    throw new StorageError('ERR_INVALID', 'a member is named twice: name each volume once');
  }
  if (members.some(({ taker }) => taker.save !== save)) {
    throw new StorageError('ERR_INVALID', 'the members of a group must be of one store');
  }
  return save;
}
