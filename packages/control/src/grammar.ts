/**
 * The words users write: names, references, sizes, ages. A subpath of its own, so that a program
 * that only has to read them (a command line, a client) need not load the store.
 */
export { parseAge } from './ages.js';
export type { NameKind } from './names.js';
export { assertName, generatedName, NAME_PATTERN, quote } from './names.js';
export type { Reference, SnapshotSelector, Target } from './references.js';
export {
  branchReference,
  parseBranchReference,
  parseReference,
  parseSelector,
  parseSnapshotReference,
  parseTarget,
  snapshotReference,
  targetReference,
} from './references.js';
export { formatSize, parseSize } from './sizes.js';
