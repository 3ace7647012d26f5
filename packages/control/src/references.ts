/**
 * References: how users point at what a store holds.
 *
 *   prod            the production volume
 *   prod@monday     its snapshot of that name
 *   prod@latest     its youngest snapshot
 *   prod@2h         its youngest snapshot that is at least two hours old (s, m, h, d, w)
 *   prod/dev        its branch of that name
 */
import { StorageError } from '@palimpsest/block-device';
import { parseAge } from './ages.js';
import { assertName, quote } from './names.js';

/** Which snapshot of a volume. */
export type SnapshotSelector =
  | { readonly by: 'name'; readonly name: string }
  | { readonly by: 'latest' }
  | { readonly by: 'age'; readonly ageMs: number; readonly text: string };

/** A reference taken apart; whether the thing exists is another question. */
export type Reference =
  | { readonly kind: 'volume'; readonly volume: string }
  | { readonly kind: 'snapshot'; readonly volume: string; readonly snapshot: SnapshotSelector }
  | { readonly kind: 'branch'; readonly volume: string; readonly branch: string };

/**
 * Takes a reference apart.
 * @throws {StorageError} ERR_INVALID when a part is not a name; ERR_UNSUPPORTED for a snapshot of
 * a branch.
 */
export function parseReference(text: string): Reference {
  const at = text.indexOf('@');
  const slash = text.indexOf('/');
  if (slash >= 0 && at > slash) {
    throw new StorageError(
      'ERR_UNSUPPORTED',
      `${quote(text)} would be a snapshot of a branch, and snapshots are of production volumes; ` +
        'list what there is: pal snapshot list',
    );
  }
  if (at >= 0) {
    const volume = text.slice(0, at);
    assertName('volume', volume);
    return { kind: 'snapshot', volume, snapshot: parseSelector(text.slice(at + 1)) };
  }
  if (slash >= 0) {
    const [volume, branch] = [text.slice(0, slash), text.slice(slash + 1)];
    assertName('volume', volume);
    assertName('branch', branch);
    return { kind: 'branch', volume, branch };
  }
  assertName('volume', text);
  return { kind: 'volume', volume: text };
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

/** The reference of a snapshot. */
export function snapshotReference(volume: string, snapshot: string): string {
  return `${volume}@${snapshot}`;
}

/** The reference of a branch. */
export function branchReference(volume: string, branch: string): string {
  return `${volume}/${branch}`;
}
