/** Verbs on branches. */
import { z } from 'zod';
import { amount, bytesPerSecond, flag, labels, removal, text, type Verb, verb } from './verb.js';

/** Make, refresh, flatten, limit, delete. */
export const BRANCH_VERBS: readonly Verb[] = [
  verb(
    'branches/create',
    z.strictObject({ name: text, from: text, labels, quotaBytes: amount.exactOptional() }),
    (store, body, { by }) => store.createBranch({ ...body, by }),
    201,
  ),
  verb(
    'branches/refresh',
    z.strictObject({ branch: text, from: text, keep: flag, force: flag }),
    (store, body, { by }) => store.refreshBranch({ ...body, by }),
  ),
  verb(
    'branches/flatten',
    z.strictObject({ reference: text, bytesPerSecond }),
    (store, { reference, ...how }) => store.flattenBranch(reference, how),
  ),
  verb('branches/pause', z.strictObject({ reference: text }), (store, { reference }) =>
    store.pauseFlatten(reference),
  ),
  verb(
    'branches/quota',
    z.strictObject({ branch: text, bytes: amount.nullable() }),
    (store, { branch, bytes }) => store.setQuota(branch, bytes),
  ),
  verb(
    'branches/delete',
    z.strictObject({ reference: text, ...removal }),
    (store, { reference, ...how }, asked) => store.deleteBranch(reference, { ...how, ...asked }),
  ),
];
