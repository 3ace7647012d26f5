/**
 * What clients may ask about the blocks of an export beside holes and zeros, by the names that qemu
 * gave these questions:
 *
 *   qemu:dirty-bitmap:SNAPSHOT   1 where the export may differ from that snapshot of its lineage
 *   qemu:allocation-depth        1 its own, 2 its base's, ... down to production; 0 nowhere
 *
 *   Q1  A difference is listed once from the front, in step with a client that asks range after range;
 *       one that goes back makes it begin anew.
 */
import type { OpenExport, Store } from '@palimpsest/control';
import type { MetaContext } from '@palimpsest/nbd';

interface Range {
  readonly position: number;
  readonly length: number;
}

/** The contexts of an export that was opened, as the store is now. */
export function contextsOf(store: Store, { reference, device }: OpenExport): MetaContext[] {
  const volume = reference.split(/[/@]/, 1)[0] as string;
  const depth: MetaContext = {
    name: 'qemu:allocation-depth',
    async describe(position, length) {
      const runs = await store.depths(reference, position, length);
      return runs.map((run) => ({ length: run.length, flags: run.depth }));
    },
  };
  const bitmaps = store
    .listSnapshots(volume)
    .filter((snapshot) => snapshot.reference !== reference)
    .map((snapshot) => differenceFrom(store, snapshot.reference, reference, device.size));
  return [depth, ...bitmaps];
}

function differenceFrom(store: Store, from: string, to: string, size: number): MetaContext {
  let listing: AsyncIterator<Range> | undefined;
  let range: Range | undefined;
  /** Everything before it was told. */
  let told = 0;
  let turn: Promise<unknown> = Promise.resolve();

  async function next(): Promise<void> {
    const { done, value } = (await listing?.next()) ?? { done: true, value: undefined };
    range = done === true ? undefined : value;
  }
  async function describe(position: number, length: number) {
    if (listing === undefined || position < told) {
      listing = store.diff(from, to)[Symbol.asyncIterator]();
      await next();
    } else await store.commit(); // what was written meanwhile counts, where it was not told yet
    const end = Math.min(position + length, size);
    const extents: { length: number; flags: number }[] = [];
    const add = (until: number, flags: number): void => {
      if (until > at) extents.push({ length: until - at, flags });
      at = Math.max(at, until);
    };
    let at = position;
    while (range !== undefined && range.position < end) {
      const last = range.position + range.length;
      if (last > at) {
        add(Math.min(range.position, end), 0);
        add(Math.min(last, end), 1);
      }
      if (last > end) break;
      await next();
    }
    add(end, 0);
    told = end;
    return extents;
  }
  return {
    name: `qemu:dirty-bitmap:${from}`,
    describe(position, length) {
      const answer = turn.then(() => describe(position, length));
      turn = answer.catch(() => undefined); // told to who asked
      return answer;
    },
  };
}
