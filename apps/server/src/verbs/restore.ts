/** Verbs on restores. */
import { z } from 'zod';
import { bytesPerSecond, flag, text, type Verb, verb } from './verb.js';

/** Begin, pause, go on, cancel. */
export const RESTORE_VERBS: readonly Verb[] = [
  verb(
    'restore',
    z.strictObject({ target: text, from: text, force: flag, bytesPerSecond }),
    (store, body, { by }) => store.restore({ ...body, by }),
  ),
  verb('restore/pause', z.strictObject({ target: text }), (store, { target }) =>
    store.pauseRestore(target),
  ),
  verb(
    'restore/resume',
    z.strictObject({ target: text, bytesPerSecond }),
    (store, { target, ...how }) => store.resumeRestore(target, how),
  ),
  verb(
    'restore/cancel',
    z.strictObject({ target: text, force: flag }),
    (store, { target, ...how }, { by }) => store.cancelRestore(target, { ...how, by }),
  ),
];
