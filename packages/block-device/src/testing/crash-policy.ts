/**
 * CrashPolicy: which of the pending changes a crash keeps. A disk's cache may be written back in
 * any order and any part, so any subset of sectors is a legal outcome; the policies are the
 * subsets that find bugs, from all of them (when few changes are pending) to random ones.
 */
import type { Random } from './random.js';
import { cut, SECTOR, type Sector, type SectorStore } from './sectors.js';
import { applyChange, type PendingChange } from './trace.js';

/**
 * How one change is torn.
 *   half     its first half of sectors is kept
 *   sectors  a random part of its sectors is kept
 *   inside   one sector of it is a mixture of new bytes, old bytes and garbage
 *   zeros    one sector of it is zeros
 *   blast    in one 4 KiB group that it touches, each sector (also those that were durable) is
 *            old, new, garbage or zeros: the blast radius of a drive that writes 4 KiB at a time
 */
export type Tear = 'half' | 'sectors' | 'inside' | 'zeros' | 'blast';

/** The fate of the pending changes, which are numbered from 0 in the order they were made. */
export type CrashPolicy =
  | { readonly kind: 'none' | 'all' }
  /** The first `count` are kept. */
  | { readonly kind: 'prefix'; readonly count: number }
  | { readonly kind: 'only' | 'all-but'; readonly index: number }
  /** Change i is kept when bit i is set. For at most 30 changes. */
  | { readonly kind: 'subset'; readonly mask: number }
  /** Each sector is kept with this probability. */
  | { readonly kind: 'random'; readonly keep: number }
  /** Those before `index` are kept, it is torn, those after are lost or kept at random. */
  | { readonly kind: 'torn'; readonly index: number; readonly tear: Tear };

/** Which policies to try at a point. */
export interface PolicyOptions {
  /** Up to this many pending changes, every subset of them. @default 4 */
  readonly exhaustive?: number;
  /** Random ones. @default 3 */
  readonly random?: number;
  /** Tears to try, each on the newest change and on a random one. @default half and sectors */
  readonly tears?: readonly Tear[];
  /** At most this many in all: a random choice of the rest, none and all always. @default 64 */
  readonly most?: number;
}

/** Lists the policies to try with `pending` changes. */
export function listPolicies(
  pending: number,
  options: PolicyOptions,
  random: Random,
): CrashPolicy[] {
  if (pending === 0) return [{ kind: 'none' }];
  const certain: CrashPolicy[] = [{ kind: 'none' }, { kind: 'all' }];
  const rest: CrashPolicy[] = [];
  if (pending <= (options.exhaustive ?? 4)) {
    for (let mask = 1; mask < 2 ** pending - 1; mask++) rest.push({ kind: 'subset', mask });
  } else {
    for (let index = 0; index < pending; index++) {
      rest.push({ kind: 'only', index }, { kind: 'all-but', index });
      if (index > 1) rest.push({ kind: 'prefix', count: index });
    }
  }
  for (const tear of options.tears ?? ['half', 'sectors']) {
    rest.push({ kind: 'torn', index: pending - 1, tear });
    if (pending > 1) rest.push({ kind: 'torn', index: random.below(pending - 1), tear });
  }
  for (let count = 0; count < (options.random ?? 3); count++) {
    rest.push({ kind: 'random', keep: random.pick([0.1, 0.5, 0.9]) });
  }
  const room = Math.max(0, (options.most ?? 64) - certain.length);
  while (rest.length > room) {
    rest[random.below(rest.length)] = rest[rest.length - 1] as CrashPolicy;
    rest.pop();
  }
  return [...certain, ...rest];
}

/** Carries the pending changes out on the stores, as far as the policy lets them survive. */
export function applyPolicy(
  stores: ReadonlyMap<string, SectorStore>,
  pending: readonly PendingChange[],
  policy: CrashPolicy,
  random: Random,
): void {
  for (let index = 0; index < pending.length; index++) {
    const entry = pending[index] as PendingChange;
    const store = stores.get(entry.change.device) as SectorStore;
    const fate = fateOf(index, policy, random);
    if (fate === 'keep') applyChange(store, entry);
    else if (fate === 'part') applyPart(store, entry, policy, random);
  }
}

function fateOf(index: number, policy: CrashPolicy, random: Random): 'keep' | 'lose' | 'part' {
  switch (policy.kind) {
    case 'none':
      return 'lose';
    case 'all':
      return 'keep';
    case 'prefix':
      return index < policy.count ? 'keep' : 'lose';
    case 'only':
      return index === policy.index ? 'keep' : 'lose';
    case 'all-but':
      return index === policy.index ? 'lose' : 'keep';
    case 'subset':
      return (policy.mask >>> index) & 1 ? 'keep' : 'lose';
    case 'random':
      return 'part';
    case 'torn':
      if (index === policy.index) return 'part';
      return index < policy.index || random.chance(0.5) ? 'keep' : 'lose';
  }
}

function applyPart(
  store: SectorStore,
  entry: PendingChange,
  policy: CrashPolicy,
  random: Random,
): void {
  const { change } = entry;
  if (policy.kind === 'random') {
    if (change.kind !== 'resize') applyChange(store, entry, () => random.chance(policy.keep));
    else if (random.chance(policy.keep)) applyChange(store, entry);
    return;
  }
  if (policy.kind !== 'torn' || change.kind === 'resize') return;
  const count = change.sectors.length;
  switch (policy.tear) {
    case 'half':
      applyChange(store, entry, (sector) => sector < count / 2);
      return;
    case 'sectors':
      applyChange(store, entry, () => random.chance(0.5));
      return;
    case 'inside':
    case 'zeros': {
      const index = change.position / SECTOR + random.below(count);
      const old = store.get(index);
      applyChange(store, entry);
      store.set(index, policy.tear === 'zeros' ? undefined : mix(old, store.get(index), random));
      return;
    }
    case 'blast':
      blast(store, entry, random);
  }
}

function blast(store: SectorStore, entry: PendingChange, random: Random): void {
  const { position, sectors } = entry.change;
  const hit = position / SECTOR + random.below(sectors.length);
  const first = hit - (hit % 8);
  const before = Array.from({ length: 8 }, (_, index) => store.get(first + index));
  applyChange(store, entry);
  for (let index = 0; index < 8 && (first + index) * SECTOR < store.size; index++) {
    const fate = random.below(4);
    if (fate === 0) store.set(first + index, before[index]);
    else if (fate === 1) store.set(first + index, garbage(random));
    else if (fate === 2) store.set(first + index, undefined);
  }
}

/** A sector whose head is new and whose tail is old, or garbage. */
function mix(old: Sector | undefined, now: Sector | undefined, random: Random): Sector | undefined {
  const bytes = new Uint8Array(SECTOR);
  const torn = random.between(1, SECTOR - 1);
  if (random.chance(0.5)) random.fill(bytes);
  else if (old !== undefined) bytes.set(old.bytes);
  bytes.set((now?.bytes ?? new Uint8Array(SECTOR)).subarray(0, torn));
  return cut(bytes)[0];
}

function garbage(random: Random): Sector | undefined {
  return cut(random.fill(new Uint8Array(SECTOR)))[0];
}
