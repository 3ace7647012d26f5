/**
 * Read-write snapshots (branches): made at once from any read-only snapshot, of production or of a
 * branch, any number of them, to any depth; with snapshots of their own, refreshed with any snapshot.
 * What is written to a branch goes to save blocks of its own; the rest is read through.
 */
export type { BlockRange } from './block-ranges.js';
export type { Branch, BranchMetrics } from './branch.js';
export { openBranch } from './branch.js';
export {
  branchTaker,
  createBranchSnapshot,
  deleteBranchSnapshot,
  openBranchSnapshot,
} from './branch-snapshots.js';
export type { BranchDeletionOptions, Refreshed, RefreshOptions } from './branches.js';
export {
  createBranch,
  deleteBranch,
  deleteBranches,
  refreshBranch,
  resizeBranch,
  setBranchQuota,
} from './branches.js';
export type { StateReference } from './changed-blocks.js';
export { changedBlocks } from './changed-blocks.js';
export type { DepthRun } from './depths.js';
export { depthsOf } from './depths.js';
export type { FlattenOptions } from './flatten.js';
export { assertNotRestoredFrom, flattenBranch } from './flatten.js';
export type { Beneath } from './lineage.js';
export type { Base, BranchRecord, StoredSpace } from './records.js';
export { branchRecord, lineageOf, listBranches, rootOf } from './records.js';
export { branchRestoreSource } from './restore-source.js';
export { resumeBranchDeletions } from './retired-spaces.js';
export type { VersionUsage } from './space-usage.js';
export { gainOfDeleting, usageOfSpace } from './space-usage.js';
