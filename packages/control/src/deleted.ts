/** What was deleted and is still there: until its grace period ends, or what stands on it has gone. */
import type { StoreContext } from './context.js';
import type { Removed } from './records.js';
import { dependantsOn, hiddenBehind } from './removal.js';
import type { DeletedInfo } from './store-types.js';
import { attributesOf, referenceOf } from './sweep.js';

/** See `Store.deleted`. */
export function deletedInfos(context: StoreContext): DeletedInfo[] {
  return context.index.removed().map((thing) => {
    const { at, until, by, isGoing } = attributesOf(thing).removed as Removed;
    return {
      reference: referenceOf(thing),
      kind: thing.kind,
      deletedAt: new Date(at).toISOString(),
      by,
      ...(isGoing === true ? {} : { recoverableUntil: new Date(until).toISOString() }),
      ...hiddenBehind(dependantsOn(context, thing)),
    };
  });
}
