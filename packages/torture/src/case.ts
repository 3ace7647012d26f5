/**
 * Case: everything that decides a run, as data: the shape of the store, the operations and the
 * faults. A case is what a seed stands for, what shrinks, and what regress/ keeps as JSON.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { drawGeometry, fullOf, type Geometry } from './geometry.js';
import { drawOperations, type Kind, type Operation } from './operation.js';

/** See the file header. */
export interface Case {
  /** Where delays, torn sectors and discards come from. */
  readonly seed: number;
  readonly geometry: Geometry;
  readonly operations: readonly Operation[];
  /** Done when a disk has failed, if one does. */
  readonly afterFailure: readonly Operation[];
  /** How often a call is much delayed, if calls are delayed at all. */
  readonly stallChance: number;
  /** Ends by closing the store. */
  readonly closes: boolean;
}

/** Operations that are tried on a store whose disk has failed. */
const AFTER_FAILURE = 8;

/** The case of a seed whose history is crashed. */
export function drawCase(seed: number, operations: number): Case {
  const random = createRandom(seed);
  return {
    seed,
    geometry: drawGeometry(random.fork('geometry')),
    operations: drawOperations(random.fork('history'), operations),
    afterFailure: drawOperations(random.fork('failure'), AFTER_FAILURE),
    stallChance: 0.04,
    closes: random.fork('end').chance(0.5),
  };
}

/** The case of a seed whose calls all take their time, and whose disks do not fail. */
export function drawSlowCase(seed: number, operations: number): Case {
  const drawn = drawCase(seed, operations);
  const random = createRandom(`${seed} slowly`);
  const geometry = drawGeometry(random.fork('geometry'));
  return {
    ...drawn,
    geometry: { ...geometry, jittered: true, failing: false },
    operations: drawOperations(random.fork('history'), operations),
    stallChance: 0.2,
  };
}

/** The case of a seed whose calls complete at once and whose disks do not fail: quick and long. */
export function drawQuickCase(seed: number, operations: number): Case {
  const drawn = drawCase(seed, operations);
  const random = createRandom(`${seed} quickly`);
  const geometry = drawGeometry(random.fork('geometry'));
  return {
    ...drawn,
    geometry: { ...geometry, jittered: false, failing: false },
    operations: drawOperations(random.fork('history'), operations),
    closes: true,
  };
}

/** What is done with a store that is full, mostly: much is written, and restores go on. */
const WHEN_FULL: readonly Kind[] = [
  ...(['write', 'write', 'write', 'write', 'write', 'burst', 'race', 'flush', 'restore'] as const),
  ...(['copy-back', 'copy-back', 'create-snapshot', 'create-branch'] as const),
  ...(['delete-snapshot', 'reopen'] as const),
];

/** The case of a seed whose store is full, to be crashed: what restores have set aside is all there is. */
export function drawFullCase(seed: number, operations: number): Case {
  const random = createRandom(`${seed} full`);
  const geometry = drawGeometry(random.fork('geometry'));
  return {
    ...drawCase(seed, 0),
    geometry: fullOf(geometry, random.between(60, 150)),
    operations: Array.from({ length: operations }, () => ({
      kind: random.pick(WHEN_FULL),
      seed: random.uint32(),
    })),
    closes: true,
  };
}
