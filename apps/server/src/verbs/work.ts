/** Verbs on the store itself and on its work: undo, jobs, settings, verification. */
import { z } from 'zod';
import { followJob } from '../follow-job.js';
import { amount, flag, text, type Verb, verb } from './verb.js';

/** Take back, wait, set, verify. */
export const WORK_VERBS: readonly Verb[] = [
  verb(
    'undo',
    z.strictObject({ operation: amount.exactOptional(), force: flag }),
    (store, body, { by }) => store.undo({ ...body, by }),
  ),
  verb('jobs/wait', z.strictObject({ id: amount }), (store, { id }, { onProgress }) =>
    followJob(store, id, onProgress),
  ),
  verb(
    'settings',
    z
      .strictObject({
        fullPolicy: z.enum(['fail-writes', 'drop-oldest']),
        graceMs: amount,
        maximumBytes: amount.nullable(),
        highWaterPercent: amount,
      })
      .partial(),
    // JSON has no undefined: what is not given is not there.
    (store, changes) => store.configure(changes as Parameters<typeof store.configure>[0]),
  ),
  verb(
    'schedules/set',
    z.strictObject({
      target: text,
      schedule: z.strictObject({ everyMs: amount, keep: amount }).nullable(),
    }),
    async (store, { target, schedule }, { by }) => ({
      items: await store.setSchedule(target, schedule, { by }),
    }),
  ),
  verb('verify', z.strictObject({ data: flag }), (store, how) => store.verify(how)),
  verb('resolve', z.strictObject({ reference: text }), async (store, { reference }) => ({
    reference: store.resolve(reference),
  })),
];
