/**
 * Model-based histories, crash images and seeded bugs for the whole engine. Private: nothing
 * imports it. `npm run torture` reaches the floors, `npm run mutants` shows that the suite notices.
 */
export type { Case } from './case.js';
export type { SweepOptions, SweepTotals } from './sweep.js';
export type { Place, Tally } from './tally.js';
export { Failure, newTally } from './tally.js';
export type { TortureOptions } from './torture.js';
export { crashCase, interleave, soak, torture } from './torture.js';
