/** Verbs on snapshots, of volumes and of branches alike. */
import { z } from 'zod';
import { amount, flag, labels, removal, text, type Verb, verb } from './verb.js';

const details = {
  name: text.exactOptional(),
  message: text.exactOptional(),
  labels,
  hold: text.exactOptional(),
  expiresInMs: amount.exactOptional(),
} as const;

/** Take, take again, delete, hold, and what is said about anything. */
export const SNAPSHOT_VERBS: readonly Verb[] = [
  verb(
    'snapshots/create',
    z.strictObject({ volume: text, ...details }),
    (store, body, { by }) => store.createSnapshot({ ...body, by }),
    201,
  ),
  verb(
    'groups/snapshot',
    z.strictObject({ targets: z.array(text).max(4096), ...details }),
    async (store, body, { by }) => ({ items: await store.createGroupSnapshot({ ...body, by }) }),
    201,
  ),
  verb(
    'snapshots/refresh',
    z.strictObject({ reference: text, keep: flag, force: flag }),
    (store, { reference, ...how }, { by }) => store.refreshSnapshot(reference, { ...how, by }),
  ),
  verb(
    'snapshots/delete',
    z.strictObject({ reference: text, ...removal }),
    (store, { reference, ...how }, asked) => store.deleteSnapshot(reference, { ...how, ...asked }),
  ),
  verb(
    'snapshots/hold',
    z.strictObject({ reference: text, tag: text, reason: text.exactOptional() }),
    (store, { reference, tag, ...how }, { by }) => store.hold(reference, tag, { ...how, by }),
  ),
  verb(
    'snapshots/unhold',
    z.strictObject({ reference: text, tag: text }),
    (store, { reference, tag }, { by }) => store.unhold(reference, tag, { by }),
  ),
  verb(
    'edit',
    z.strictObject({
      reference: text,
      name: text.exactOptional(),
      message: text.exactOptional(),
      labels,
      expiresAt: text.nullable().exactOptional(),
    }),
    async (store, { reference, ...changes }, { by }) => ({
      reference: await store.edit(reference, { ...changes, by }),
    }),
  ),
];
