/**
 * Model-based histories, crash images and seeded bugs for the whole engine. Private: nothing
 * imports it. `npm run torture` reaches the floors, `npm run mutants` shows that the suite notices.
 */
export type { Place, SweepOptions, Tally } from './crash-driver.js';
export { Failure, interleave, newTally, torture } from './crash-driver.js';
