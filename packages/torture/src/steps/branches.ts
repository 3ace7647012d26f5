/** Steps that make, refresh, flatten, limit and delete branches. */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import {
  createBranch as create,
  deleteBranch as deleteStored,
  flattenBranch,
  refreshBranch,
  setBranchQuota,
} from '@palimpsest/rw-snapshot';
import { Violation } from '../compare.js';
import { type History, Stopped } from '../history.js';
import type { Asked } from '../model/event.js';
import type { Branch, Snapshot } from '../model/model.js';
import { type Creation, readNew } from './snapshots.js';

const BRANCHES_MAX = 4;

/** Of any snapshot, of production or of a branch. */
export async function createBranch(history: History, random: Random): Promise<void> {
  if (history.branches().length >= BRANCHES_MAX) {
    return history.bursting ? undefined : deleteBranch(history, random);
  }
  const bases = history.snapshots().filter(({ content }) => content !== undefined);
  if (bases.length === 0) return;
  await branchOff(history, random.pick(bases).name);
}

/** Makes a branch of a snapshot. */
export async function branchOff(history: History, snapshot: string): Promise<void> {
  const name = history.newName('b');
  const { session } = history;
  await history.tell({ kind: 'create-branch', name, snapshot }, async () => {
    await create(session.save, session.reference(snapshot), { name });
    await session.openBranch(name);
  });
}

/** With its snapshots, if it has any; one whose snapshots others stand on stays. */
export async function deleteBranch(history: History, random: Random): Promise<void> {
  const branches = history.branches().filter((branch) => isFree(history, branch));
  if (branches.length === 0) return;
  await remove(history, random.pick(branches).name);
}

/** Deletes a branch and its snapshots, which nothing else stands on. */
export async function remove(history: History, name: string): Promise<void> {
  const together = history.ids.next++;
  const own = history.snapshots().filter(({ parent }) => parent === name);
  const events: Asked[] = own.map((each) => ({
    kind: 'delete-snapshot',
    name: each.name,
    together,
  }));
  events.push({ kind: 'delete-branch', name, together });
  const { session } = history;
  const id = await close(history, name);
  if (id === undefined) return;
  await history.tell(events, () =>
    deleteStored(session.save, id, { withSnapshots: own.length > 0 }),
  );
}

/** Nothing but the branch itself and its own snapshots stands on its snapshots. */
export function isFree({ model, session }: History, { name }: Branch): boolean {
  const own = model.snapshots().filter((each) => each.parent === name && each.presence !== 'gone');
  const names = new Set([name, ...own.map((each) => each.name)]);
  const needed = model.volumes.flatMap((volume) => session.needed(volume));
  return own.every(
    (snapshot) =>
      !needed.includes(snapshot.name) &&
      model.dependants(snapshot.name).every((dependant) => names.has(dependant)),
  );
}

/** With any other snapshot of its volume's lineage; what it was is kept as a snapshot, or not. */
export async function refresh(history: History, random: Random): Promise<void> {
  const branches = history.branches();
  if (branches.length === 0) return;
  const branch = random.pick(branches);
  const targets = targetsOf(history, branch);
  if (targets.length > 0) await renew(history, branch, random.pick(targets), random.chance(0.6));
}

/** Snapshots that a branch can be refreshed with. */
export function targetsOf(history: History, { root, base }: Branch): Snapshot[] {
  return history.snapshots().filter(({ name, parent, content }) => {
    const from = history.model.branch(parent)?.root ?? parent;
    return content !== undefined && from === root && name !== base;
  });
}

/** Refreshes a branch, which is closed for it. */
export async function renew(
  history: History,
  { name: space }: Branch,
  { name: source, content }: Snapshot,
  keeps: boolean,
): Promise<void> {
  const { model, session } = history;
  if (model.isSwapping(space)) return; // as for a restore
  const together = history.ids.next++;
  const swap: Asked = {
    ...{ kind: 'swap', space, source, together },
    content: content as Int32Array,
  };
  const keep: Creation | undefined = keeps
    ? { kind: 'create-snapshot', name: history.newName('k'), space, together }
    : undefined;
  const id = await close(history, space);
  if (id === undefined) return;
  // The snapshot first: it is of what was before.
  const done = await history.tell(keep === undefined ? [swap] : [keep, swap], async () => {
    const options = keep === undefined ? {} : { keep: { name: keep.name } };
    const to = session.reference(source);
    const { settled } = await refreshBranch(session.save, id, to, options);
    await session.openBranch(space);
    if (keep !== undefined) await readNew(history, keep);
    await settled;
  });
  if (!done && !history.broken) await session.openBranch(space);
}

/** Makes a branch independent of its base; or begins to, for once. */
export async function flatten(history: History, random: Random): Promise<void> {
  const branches = history.branches().filter(({ base }) => base !== undefined);
  if (branches.length === 0) return;
  await makeIndependent(history, random.pick(branches).name, random.chance(0.3));
}

/** Flattens a branch, to the end or for a step. */
export async function makeIndependent(
  history: History,
  name: string,
  stops: boolean,
): Promise<void> {
  const { session } = history;
  const { id } = session.branch(name);
  const stop = stops ? new AbortController() : undefined;
  const options = {
    // What is copied in before it is stopped changes nothing that anyone reads.
    ...(stop === undefined ? {} : { signal: stop.signal }),
    pace: async () => stop?.abort(new Stopped('enough')),
  };
  await history.tell({ kind: 'flatten', branch: name }, async () => {
    try {
      await flattenBranch(session.save, id, session.beneath, options);
    } catch (error) {
      // What a restore reads through stays as it is, whatever else is asked.
      const isKept = isStorageError(error, 'ERR_BUSY') && isRestoredFromBranch(history);
      throw isKept ? new Stopped('a restore reads through it') : error;
    }
  });
}

function isRestoredFromBranch({ model, session }: History): boolean {
  const sources = model.volumes.flatMap((volume) => session.needed(volume));
  return sources.some((name) => !model.volumes.includes(model.snapshot(name)?.parent ?? ''));
}

/** Gives a branch a quota, or takes it away. */
export async function limit(history: History, random: Random): Promise<void> {
  const branches = history.branches();
  if (branches.length === 0) return;
  const { name } = random.pick(branches);
  const { session, geometry } = history;
  const blocks = random.chance(0.5) ? random.between(0, 20) : undefined;
  const bytes = blocks === undefined ? undefined : blocks * geometry.blockSize;
  await history.tell({ kind: 'limit', branch: name }, () =>
    setBranchQuota(session.save, session.branch(name).id, bytes),
  );
}

/** Closes a branch, which makes it durable; tells its id, unless a disk failed. */
async function close(history: History, name: string): Promise<number | undefined> {
  let id: number | undefined;
  await history.tell({ kind: 'flush', spaces: [name] }, async () => {
    try {
      id = await history.session.closeBranch(name);
    } catch (error) {
      if (history.broken) throw error;
      throw new Violation(`a branch must close: ${String(error)}`);
    }
  });
  return id;
}
