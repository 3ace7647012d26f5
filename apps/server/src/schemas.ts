/**
 * What the control API takes, checked before the store hears of it. Unknown keys are refused.
 * Names are checked by the store, whose rule it is; here only their type and length.
 */
import { z } from 'zod';

/** Characters of any string: longer than every valid one, shorter than an attack. */
const text = z.string().max(4096);
const flag = z.enum(['true', 'false']).transform((value) => value === 'true');

/** POST /v1/volumes, a new one. */
export const createVolumeBody = z.strictObject({
  name: text,
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  allocate: z.boolean().optional(),
});

/** POST /v1/volumes, one from a raw image. */
export const adoptVolumeBody = z.strictObject({
  name: text,
  path: text.startsWith('/', 'must be absolute: the daemon works in another directory'),
});

/** POST /v1/volumes/{volume}/snapshots. */
export const snapshotBody = z.strictObject({
  name: text.optional(),
  message: text.optional(),
});

/** POST /v1/branches. */
export const branchBody = z.strictObject({ name: text, from: text });

/** Queries of the lists. */
export const listQuery = z.strictObject({ volume: text.optional() });

/** Queries of DELETE. */
export const removalQuery = z.strictObject({ dryRun: flag.optional() });

/** Queries of DELETE /v1/volumes/{volume}. */
export const releaseQuery = z.strictObject({
  dryRun: flag.optional(),
  dropSnapshots: flag.optional(),
});
