/** Steps: what each kind of operation does. */
import type { Random } from '@palimpsest/block-device/testing';
import type { History } from '../history.js';
import type { Kind } from '../operation.js';
import { burst, race } from './at-once.js';
import { createBranch, deleteBranch, flatten, limit, refresh } from './branches.js';
import { commit, discard, flush, grow, readError, reopen, write, zero } from './io.js';
import { copyBack, restore } from './restores.js';
import { createGroup, createSnapshot, deleteSnapshot } from './snapshots.js';

/** Carries an operation out; its choices come from `random`. */
export type Step = (history: History, random: Random) => Promise<void>;

export const STEPS: Readonly<Record<Kind, Step>> = {
  write: (history, random) => write(history, random, history.space(random)),
  zero,
  discard,
  flush: (history, random) => flush(history, history.space(random)),
  commit,
  burst,
  race,
  'create-snapshot': createSnapshot,
  'create-group': createGroup,
  'delete-snapshot': deleteSnapshot,
  'create-branch': createBranch,
  'delete-branch': deleteBranch,
  refresh,
  flatten,
  restore,
  'copy-back': copyBack,
  grow,
  limit,
  'read-error': readError,
  reopen,
  check: (history) => history.check(),
};
