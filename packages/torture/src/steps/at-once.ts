/** Steps that have several operations in flight at once. */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import { Violation } from '../compare.js';
import type { History } from '../history.js';
import { createBranch } from './branches.js';
import { flush, write } from './io.js';
import { copyBack, restore } from './restores.js';
import { createGroup, createSnapshot } from './snapshots.js';

/** Several operations in flight at once. */
export async function burst(history: History, random: Random): Promise<void> {
  const work: Promise<void>[] = [];
  history.bursting = true;
  for (let left = random.between(2, 5); left > 0; left--) {
    const space = history.space(random);
    work.push(random.chance(0.75) ? write(history, random, space) : flush(history, space));
  }
  for (let left = random.below(3); left > 0; left--) work.push(readSnapshot(history, random));
  if (random.chance(0.3)) {
    work.push(random.chance(0.6) ? createSnapshot(history, random) : createGroup(history, random));
  }
  if (random.chance(0.2)) work.push(createBranch(history, random));
  if (random.chance(0.3)) work.push(copyBack(history, random));
  if (random.chance(0.1)) work.push(restore(history, random));
  await allSettled(work);
  history.bursting = false;
}

/**
 * Snapshots are read while first writes are committed, the race that the second look settles; and
 * flushes are asked for while others run, which cover less; and all of it while a restore goes on.
 */
export async function race(history: History, random: Random): Promise<void> {
  const space = random.chance(0.7) ? random.pick(history.model.volumes) : history.space(random);
  const work: Promise<void>[] = [];
  history.bursting = true;
  for (let left = random.between(2, 4); left > 0; left--) work.push(readSnapshot(history, random));
  const chain = async (): Promise<void> => {
    for (let left = random.between(1, 2); left > 0; left--) {
      await write(history, random, space);
      await flush(history, space);
    }
  };
  for (let left = random.between(1, 3); left > 0; left--) work.push(chain());
  if (random.chance(0.5)) work.push(copyBack(history, random));
  // While those writes are in flight, which must be out of the way first (Q1, G1).
  if (random.chance(0.4)) work.push(createSnapshot(history, random));
  await allSettled(work);
  history.bursting = false;
}

/** A snapshot reads the same whatever goes on meanwhile (R4). */
async function readSnapshot(history: History, random: Random): Promise<void> {
  const there = history.snapshots();
  if (there.length === 0 || history.broken) return;
  const { name } = random.pick(there);
  history.operations++;
  let ids: Int32Array;
  try {
    ids = await history.session.readSnapshot(name);
  } catch (error) {
    // One that was deleted meanwhile says so.
    const { presence } = history.model.snapshot(name) ?? {};
    if (isStorageError(error, 'ERR_NOT_FOUND') && presence !== 'there') return;
    throw error;
  }
  const complaint = history.model.complainOfSnapshot(name, ids);
  if (complaint !== undefined) throw new Violation(`read amid writes: ${complaint}`);
}

/** Waits for all, also when one fails, and then fails as the first did. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
