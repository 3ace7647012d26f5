/**
 * OpenBranches: which branches of a store are open.
 *
 *   O1  A branch has one writer: it is open at most once, and what changes or deletes it as a whole
 *       takes its place meanwhile.
 *   O2  Opening a branch and changing its snapshots come one after the other: an open branch knows
 *       its youngest snapshot from the commit on that makes it so (K5).
 */
import { StorageError } from '@palimpsest/block-device';
import { queueOf } from '@palimpsest/ro-snapshot';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { BranchDevice, BranchParts } from './branch-device.js';
import type { Lineage } from './lineage.js';

/** An open branch, as other operations reach it. */
export interface OpenBranch {
  readonly device: BranchDevice;
  readonly parts: BranchParts;
}

interface Registry {
  /** `undefined` while something changes the branch as a whole. */
  readonly branches: Map<number, OpenBranch | undefined>;
  readonly lineages: Set<Lineage>;
  /** The last in line at each branch (O2). */
  readonly lines: Map<number, Promise<unknown>>;
}

const REGISTRIES = new WeakMap<SaveVolume, Registry>();

function registryOf(save: SaveVolume): Registry {
  let registry = REGISTRIES.get(save);
  if (registry === undefined) {
    registry = { branches: new Map(), lineages: new Set(), lines: new Map() };
    REGISTRIES.set(save, registry);
  }
  return registry;
}

/** The branch, if it is open. */
export function openBranchOf(save: SaveVolume, id: number): OpenBranch | undefined {
  return registryOf(save).branches.get(id);
}

/** The lineages that are open now. */
export function openLineages(save: SaveVolume): Set<Lineage> {
  return registryOf(save).lineages;
}

/** O1. @throws {StorageError} ERR_BUSY or ERR_IN_USE, as `code` says, when the branch is taken. */
export function takeBranch(save: SaveVolume, id: number, code: 'ERR_BUSY' | 'ERR_IN_USE'): void {
  const { branches } = registryOf(save);
  if (branches.has(id)) {
    throw new StorageError(code, `branch ${id} is open, or being changed: close it first`);
  }
  branches.set(id, undefined);
}

/** O2: runs `work` after what is in line at the branch before it. */
export function inLine<Result>(
  save: SaveVolume,
  id: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const { lines } = registryOf(save);
  const result = (lines.get(id) ?? Promise.resolve()).then(work);
  const last = result
    .catch(() => undefined) // told to who asked; the next in line must not stumble over it
    .then(() => {
      if (lines.get(id) === last) lines.delete(id);
    });
  lines.set(id, last);
  return result;
}

/** Says that the branch, which was taken, is open now. */
export function showBranch(save: SaveVolume, id: number, branch: OpenBranch): void {
  registryOf(save).branches.set(id, branch);
}

/** Gives the branch free. */
export function dropBranch(save: SaveVolume, id: number): void {
  registryOf(save).branches.delete(id);
}

/**
 * Runs a change of a space's queue with nothing held and no writer under way, when its branch is
 * open with that space (Q1); at once otherwise.
 */
export function aloneOnSpace<Result>(
  save: SaveVolume,
  branch: number,
  space: number,
  change: () => Promise<Result>,
): Promise<Result> {
  return inLine(save, branch, () => {
    const open = openBranchOf(save, branch);
    if (open === undefined || open.parts.space !== space) return change();
    const { own } = open.parts;
    return open.device.exclusion.alone(async () => {
      if (own.held.size > 0) await save.commit(own);
      try {
        return await change();
      } finally {
        own.youngest = queueOf(save, space).youngest;
      }
    });
  });
}
