/** Steps that take and delete snapshots, of volumes and of branches, alone and in groups. */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import { createSnapshots, type SnapshotTaker } from '@palimpsest/ro-snapshot';
import { deleteBranchSnapshot } from '@palimpsest/rw-snapshot';
import { demand, Violation } from '../compare.js';
import type { History } from '../history.js';
import type { Asked } from '../model/event.js';
import type { Snapshot } from '../model/model.js';

/** More than these of one volume or branch are deleted before another is made. */
const SNAPSHOTS_MAX = 6;

export type Creation = Asked & { readonly kind: 'create-snapshot' };

export async function createSnapshot(history: History, random: Random): Promise<void> {
  const space = history.space(random);
  if (isCrowded(history, space)) return deleteSnapshot(history, random);
  await take(history, space);
}

/** Takes a snapshot of a volume or branch. */
export async function take(history: History, space: string): Promise<void> {
  if (history.bursting) history.onSnapshots(space, 'uncertain');
  const event: Creation = { kind: 'create-snapshot', name: history.newName('s'), space };
  const { session, model } = history;
  const done = await history.tell(event, async () => {
    const { name } = event;
    if (model.volumes.includes(space)) await session.volume(space).createSnapshot({ name });
    else await session.branch(space).createSnapshot({ name });
    await readNew(history, event);
  });
  if (done && !history.bursting) history.onSnapshots(space, 'just made');
}

/** Volumes and branches at one instant (B6, B7). */
export async function createGroup(history: History, random: Random): Promise<void> {
  const branches = history.branches().map(({ name }) => name);
  const spaces = [...history.model.volumes, ...branches.filter(() => random.chance(0.7))];
  await takeGroup(
    history,
    spaces.filter((space) => !isCrowded(history, space)),
  );
}

/** Takes a snapshot of several at one instant. */
export async function takeGroup(history: History, spaces: readonly string[]): Promise<void> {
  const { session, model } = history;
  const chosen = spaces.flatMap((space): [string, SnapshotTaker][] => {
    const taker = model.volumes.includes(space) ? session.volume(space) : session.branch(space);
    return isTaker(taker) ? [[space, taker]] : [];
  });
  if (chosen.length === 0) return;
  const together = history.ids.next++;
  const events = chosen.map(([space]): Creation => {
    history.onSnapshots(space, 'uncertain');
    return { kind: 'create-snapshot', name: history.newName('g'), space, together };
  });
  await history.tell(events, async () => {
    const members = chosen.map(([, taker], index) => ({
      taker,
      attributes: { name: (events[index] as Creation).name },
    }));
    await createSnapshots(members);
    for (const event of events) await readNew(history, event);
    demand(
      model.complainOfInstant(
        events.map(({ space, content }) => ({ space, content: content as Int32Array })),
      ),
    );
  });
}

/** Reads a snapshot that was just made; from then on its content is known (R5). */
export async function readNew(history: History, event: Creation): Promise<void> {
  event.content = await history.session.readSnapshot(event.name);
  demand(history.model.complainOfSnapshot(event.name, event.content));
}

/** Deletes one, whichever; one that something stands on is refused, and stays. */
export async function deleteSnapshot(history: History, random: Random): Promise<void> {
  const all = history.snapshots();
  if (all.length === 0) return;
  const isFree = ({ name }: Snapshot): boolean => !isNeeded(history, name);
  if (random.chance(0.15)) return deleteNeeded(history, random.pick(all));
  const free = all.filter(isFree);
  if (free.length === 0) return;
  await drop(history, random.pick(free));
}

/** Deletes a snapshot that nothing stands on. */
export async function drop(history: History, { name, parent }: Snapshot): Promise<void> {
  history.onSnapshots(parent, 'uncertain');
  await history.tell({ kind: 'delete-snapshot', name }, () => remove(history, name));
}

async function deleteNeeded(history: History, { name }: Snapshot): Promise<void> {
  if (!isNeeded(history, name) || history.broken) return;
  history.operations++;
  try {
    await remove(history, name);
  } catch (error) {
    if (isStorageError(error, 'ERR_IN_USE')) return;
    throw error;
  }
  const dependants = history.model.dependants(name).join(', ') || 'a restore';
  throw new Violation(`Q4: ${name} was deleted, and ${dependants} stood on it`);
}

async function remove(history: History, name: string): Promise<void> {
  const { id, owner } = history.session.findSnapshot(name);
  if ('deleteSnapshot' in owner) await owner.deleteSnapshot(id);
  else await deleteBranchSnapshot(history.session.save, id);
}

/** A branch, another state or a restore stands on it. */
export function isNeeded(history: History, name: string): boolean {
  if (history.model.dependants(name).length > 0) return true;
  return history.model.volumes.some((volume) => history.session.needed(volume).includes(name));
}

function isCrowded(history: History, space: string): boolean {
  const own = history.model
    .snapshots()
    .filter(({ parent, presence }) => parent === space && presence !== 'gone');
  return own.length >= SNAPSHOTS_MAX;
}

function isTaker(candidate: object): candidate is SnapshotTaker {
  return 'stopped' in candidate;
}
