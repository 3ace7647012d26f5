/**
 * Versions: the third part of a block map key. They order the states that a block has gone through.
 *
 *   version   snapshot id       the state saved for that snapshot: it answers for the snapshots from
 *                               the one after the block's previous entry up to and including this
 *             LIVE              the state now; after every snapshot
 *   level     0                 one block
 *             1, 2, 3           a span of 512, 512^2, 512^3 blocks from the entry's block on
 *
 *   in a key: level x LEVEL_STEP + version
 *
 *   E1  A state is recorded once: the first change of a block after snapshot k records what it was
 *       under k; later changes before the next snapshot record nothing.
 *   E2  "As snapshot k has it" is the first entry of the same level at or after k, else what lies
 *       beneath the space: the clone volume of production, the base of a branch. An entry flagged
 *       BENEATH says the same of the snapshots that it answers for: the block was not the space's own.
 */

/** From one level's versions to the next one's. */
const LEVEL_STEP: number = 2 ** 45;

/** The version of what is current; every snapshot's id is lower. */
export const LIVE: number = LEVEL_STEP - 1;

/** Largest level of a span. */
export const LEVELS_MAX = 3;

/** The version of a span's state. */
export function atLevel(level: number, version: number): number {
  return level * LEVEL_STEP + version;
}

/** The level that a version in a key belongs to. */
export function levelOf(keyed: number): number {
  return Math.floor(keyed / LEVEL_STEP);
}

/** The version without its level. */
export function versionOf(keyed: number): number {
  return keyed % LEVEL_STEP;
}

/** The last version of the level that `keyed` belongs to. */
export function endOfLevel(keyed: number): number {
  return keyed <= LIVE ? LIVE : levelOf(keyed) * LEVEL_STEP + LIVE;
}
