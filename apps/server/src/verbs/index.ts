/** Every change that the control API takes; a new verb is a line in the table of its noun. */
import { BRANCH_VERBS } from './branches.js';
import { RESTORE_VERBS } from './restore.js';
import { SNAPSHOT_VERBS } from './snapshots.js';
import type { Verb } from './verb.js';
import { VOLUME_VERBS } from './volumes.js';
import { WORK_VERBS } from './work.js';

/** All verbs. */
export const VERBS: readonly Verb[] = [
  ...VOLUME_VERBS,
  ...SNAPSHOT_VERBS,
  ...BRANCH_VERBS,
  ...RESTORE_VERBS,
  ...WORK_VERBS,
];
