/** Verbs on volumes. */
import { z } from 'zod';
import { amount, flag, removal, text, type Verb, verb } from './verb.js';

const create = z.strictObject({ name: text, size: amount, allocate: flag });
const adopt = z.strictObject({
  name: text,
  path: text.startsWith('/', 'must be absolute: the daemon works in another directory'),
});

/** Make, adopt, release, delete, resize. */
export const VOLUME_VERBS: readonly Verb[] = [
  verb(
    'volumes/create',
    create,
    (store, body, { onProgress }) => store.createVolume({ ...body, onProgress }),
    201,
  ),
  verb('volumes/adopt', adopt, (store, body) => store.adoptVolume(body), 201),
  verb(
    'volumes/release',
    z.strictObject({ name: text, dryRun: flag, dropSnapshots: flag }),
    (store, { name, ...how }, asked) => store.releaseVolume(name, { ...how, ...asked }),
  ),
  verb(
    'volumes/delete',
    z.strictObject({ name: text, ...removal }),
    (store, { name, ...how }, asked) => store.deleteVolume(name, { ...how, ...asked }),
  ),
  verb(
    'resize',
    z.strictObject({ reference: text, size: amount }),
    (store, { reference, size }, { by }) => store.resize(reference, size, { by }),
  ),
];
