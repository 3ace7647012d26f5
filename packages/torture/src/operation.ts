/**
 * Operations as data: what a history does is a list of kinds with a seed each. What one acts on it
 * draws from its own seed, among what is there when its turn comes; so any part of a list is a
 * history too, and a failing one shrinks by leaving operations out.
 */
import type { Random } from '@palimpsest/block-device/testing';

export const KINDS = [
  'write',
  'zero',
  'discard',
  'flush',
  'commit',
  'burst',
  'race',
  'create-snapshot',
  'create-group',
  'delete-snapshot',
  'create-branch',
  'delete-branch',
  'refresh',
  'flatten',
  'restore',
  'copy-back',
  'grow',
  'limit',
  'read-error',
  'reopen',
  'check',
] as const;

/** What an operation does. */
export type Kind = (typeof KINDS)[number];

/** One step of a history. */
export interface Operation {
  readonly kind: Kind;
  /** Where its choices come from. */
  readonly seed: number;
}

/** Kinds that come more often than others, in every history. */
const SHARE: Partial<Record<Kind, number>> = {
  write: 3,
  flush: 2,
  'copy-back': 2,
  grow: 0.3,
  limit: 0.3,
  flatten: 0.5,
  'read-error': 0.5,
  reopen: 0.7,
};

/**
 * Draws a history. Weights are drawn anew for each (swarm testing): one of mostly deletes finds what
 * an average one never does.
 */
export function drawOperations(random: Random, count: number): Operation[] {
  const weights = KINDS.map((kind) => random.pick([0, 1, 1, 3]) * (SHARE[kind] ?? 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const draw = (): Kind => {
    let left = (random.uint32() / 2 ** 32) * total;
    for (const [index, weight] of weights.entries()) {
      left -= weight;
      if (left < 0) return KINDS[index] as Kind;
    }
    return 'write';
  };
  return Array.from({ length: count }, () => ({ kind: draw(), seed: random.uint32() }));
}
