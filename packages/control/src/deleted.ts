/** What was deleted and is still there: until its grace period ends, or what stands on it has gone. */
import type { StoreContext } from './context.js';
import { isGoing, type Removed } from './records.js';
import { dependantsOn, objectRecord } from './removal.js';
import type { DeletedInfo } from './store-types.js';
import { referenceOf } from './sweep.js';

/** See `Store.deleted`. */
export function deletedInfos(context: StoreContext): DeletedInfo[] {
  return context.index.removed().map((thing) => {
    const record = objectRecord(thing);
    const { at, until, by } = record.attributes.removed as Removed;
    const behind = dependantsOn(context, thing).map((each) => each.reference);
    return {
      reference: referenceOf(thing),
      kind: thing.kind,
      deletedAt: new Date(at).toISOString(),
      by,
      ...(isGoing(record) ? {} : { recoverableUntil: new Date(until).toISOString() }),
      ...(behind.length === 0 ? {} : { hiddenBehind: behind }),
    };
  });
}
