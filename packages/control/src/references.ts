/**
 * References: how users point at what a store holds.
 *
 *   prod              the production volume
 *   prod@monday       its snapshot of that name
 *   prod@latest       its youngest snapshot
 *   prod@2h           its youngest snapshot that is at least two hours old (s, m, h, d, w)
 *   prod/dev          its branch of that name
 *   prod/dev@monday   a snapshot of the branch; @latest and ages as above
 */
import { StorageError } from '@palimpsest/block-device';
import { parseAge } from './ages.js';
import { assertName, quote } from './names.js';

/** Which snapshot of a volume or branch. */
export type SnapshotSelector =
  | { readonly by: 'name'; readonly name: string }
  | { readonly by: 'latest' }
  | { readonly by: 'age'; readonly ageMs: number; readonly text: string };

/** Something that can be written and have snapshots. */
export type Target =
  | { readonly kind: 'volume'; readonly volume: string }
  | { readonly kind: 'branch'; readonly volume: string; readonly branch: string };

/** A reference taken apart; whether the thing exists is another question. */
export type Reference =
  | Target
  | {
      readonly kind: 'snapshot';
      readonly volume: string;
      /** The branch that it is a snapshot of; of the volume without one. */
      readonly branch?: string;
      readonly snapshot: SnapshotSelector;
    };

/**
 * Takes a reference apart.
 * @throws {StorageError} ERR_INVALID when a part is not a name.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  if (at < 0) return parseWritable(text);
  const target = parseWritable(text.slice(0, at));
  const branch = target.kind === 'branch' ? { branch: target.branch } : {};
  const snapshot = parseSelector(text.slice(at + 1));
  return { kind: 'snapshot', volume: target.volume, ...branch, snapshot };
}

/**
 * Takes the reference of a volume or branch apart.
 * @throws {StorageError} ERR_INVALID when it is a snapshot's, or none.
 */
export function parseTarget(text: string): Target {
  if (!text.includes('@')) return parseWritable(text);
  throw new StorageError(
    'ERR_INVALID',
    `${quote(text)} is a snapshot; write a volume or a branch: VOLUME or VOLUME/BRANCH`,
  );
}

function parseWritable(text: string): Target {
  const slash = text.indexOf('/');
  if (slash < 0) {
    assertName('volume', text);
    return { kind: 'volume', volume: text };
  }
  const [volume, branch] = [text.slice(0, slash), text.slice(slash + 1)];
  assertName('volume', volume);
  assertName('branch', branch);
  return { kind: 'branch', volume, branch };
}

/**
 * Reads what stands after the "@": a snapshot's name, "latest" or an age.
 * @throws {StorageError} ERR_INVALID when it is none of these.
 */
export function parseSelector(text: string): SnapshotSelector {
  if (text === 'latest') return { by: 'latest' };
  const ageMs = parseAge(text);
  if (ageMs !== undefined) return { by: 'age', ageMs, text };
  assertName('snapshot', text);
  return { by: 'name', name: text };
}

/**
 * Takes a snapshot's reference apart.
 * @throws {StorageError} ERR_INVALID when it is another kind of reference, or none.
 */
export function parseSnapshotReference(text: string): Extract<Reference, { kind: 'snapshot' }> {
  const reference = parseReference(text);
  if (reference.kind === 'snapshot') return reference;
  throw new StorageError(
    'ERR_INVALID',
    `${quote(text)} is a ${reference.kind}; write a snapshot as VOLUME@NAME, VOLUME@latest or ` +
      `VOLUME@2h; see which there are: pal snapshot list ${reference.volume}`,
  );
}

/**
 * Takes a branch's reference apart.
 * @throws {StorageError} ERR_INVALID when it is another kind of reference, or none.
 */
export function parseBranchReference(text: string): Extract<Reference, { kind: 'branch' }> {
  const reference = parseReference(text);
  if (reference.kind === 'branch') return reference;
  throw new StorageError(
    'ERR_INVALID',
    `${quote(text)} is a ${reference.kind}; write a branch as VOLUME/NAME; see which there are: ` +
      `pal branch list ${reference.volume}`,
  );
}

/** The reference of a volume or branch. */
export function targetReference(target: {
  readonly volume: string;
  readonly branch?: string;
}): string {
  return target.branch === undefined
    ? target.volume
    : branchReference(target.volume, target.branch);
}

/** The reference of a snapshot of a volume or branch. */
export function snapshotReference(target: string, snapshot: string): string {
  return `${target}@${snapshot}`;
}

/** The reference of a branch. */
export function branchReference(volume: string, branch: string): string {
  return `${volume}/${branch}`;
}
