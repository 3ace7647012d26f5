/**
 * Attendants: those who know what lies on volumes and branches, which the store does not: they make it
 * whole before a snapshot, and tell of a snapshot whether it is.
 *
 *   AT1  Whatever becomes of a snapshot, what was stopped for it goes on.
 *   AT2  Attendants never keep a snapshot from being taken: what fails in them is logged, and the
 *        snapshot is what it is.
 *   AT3  A snapshot is `clean` only when somebody looked at its bytes, after the cut, and found them so.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { findSnapshot } from './catalog.js';
import type { StoreContext } from './context.js';
import type { Logger } from './environment.js';
import { openDevice } from './open-device.js';
import { changeAttributes } from './records.js';

/**
 * What a snapshot's content is: a file system that was at rest (`clean`), or what a machine that lost
 * its power at that instant would find, which a file system's journal repairs (`crash-consistent`).
 */
export type Consistency = 'clean' | 'crash-consistent';

/** See the file header. */
export interface SnapshotAttendant {
  /**
   * Makes what it has of these volumes and branches whole on their devices, keeps it so, and answers
   * how to let it go on, which is called whatever becomes of the snapshot. Bounds its own time, and waits
   * for nothing that waits for a turn of the store.
   */
  quiesce(targets: readonly string[]): Promise<() => Promise<void>>;
  /** Tells what the content of a snapshot is, by looking at it. */
  judge(snapshot: BlockDevice): Promise<Consistency>;
}

/** Those of one store. */
export interface Attendants {
  /** Until the answered function is called. */
  add(attendant: SnapshotAttendant): () => void;
  /** Runs `work` with everything at rest that attendants have of `targets` (AT1, AT2). */
  atRest<T>(targets: readonly string[], work: () => Promise<T>): Promise<T>;
  /** AT3. `open` is called when there is somebody to look. */
  judge(open: () => Promise<BlockDevice>): Promise<Consistency>;
}

/** Makes a set of attendants, empty. */
export function createAttendants(logger: Logger): Attendants {
  const all = new Set<SnapshotAttendant>();
  const failed = (what: string, error: unknown): void => {
    logger.warn(`${what} failed`, { error: String(error) }); // AT2
  };
  return {
    add(attendant) {
      const mine = { ...attendant };
      all.add(mine);
      return () => void all.delete(mine);
    },
    async atRest(targets, work) {
      const goOn: (() => Promise<void>)[] = [];
      try {
        for (const each of all) {
          try {
            goOn.push(await each.quiesce(targets));
          } catch (error) {
            failed('bringing a file system to rest for a snapshot', error);
          }
        }
        return await work();
      } finally {
        for (const each of goOn) {
          await each().catch((error) => failed('going on after a snapshot', error)); // AT1
        }
      }
    },
    async judge(open) {
      if (all.size === 0) return 'crash-consistent';
      try {
        await using device = await open();
        for (const each of all) if ((await each.judge(device)) === 'clean') return 'clean';
      } catch (error) {
        failed('looking at a new snapshot', error);
      }
      return 'crash-consistent';
    },
  };
}

/**
 * Has the snapshots looked at (AT3), and notes of those that are clean that they are: one commit when
 * there are any. Until it is durable they count as crash-consistent, which is true of them too.
 */
export async function judgeSnapshots(
  context: StoreContext,
  references: readonly string[],
): Promise<void> {
  const { attendants, environment, index, save } = context;
  const clean: number[] = [];
  for (const reference of references) {
    const found = findSnapshot(index, reference, environment.now());
    const open = async (): Promise<BlockDevice> => (await openDevice(context, reference)).device;
    if ((await attendants.judge(open)) === 'clean') clean.push(found.snapshot.id);
  }
  if (clean.length === 0) return;
  await save.transact((batch) => {
    for (const id of clean) changeAttributes(save, batch, id, { consistency: 'clean' });
  });
}
