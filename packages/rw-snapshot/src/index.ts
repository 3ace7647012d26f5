/**
 * Read-write snapshots (branches): made at once from any read-only snapshot, any number of them.
 * What is written to a branch goes to save blocks of its own; the rest is read through.
 */
export type { Branch } from './branch.js';
export type { BranchDeletionOptions } from './branches.js';
export { createBranch, deleteBranch, openBranch, resumeBranchDeletions } from './branches.js';
export type { Base, BranchRecord } from './records.js';
export { listBranches } from './records.js';
