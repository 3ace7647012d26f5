/**
 * Metadata contexts: what a client may ask about ranges of an export. `base:allocation` is the
 * device's own; the catalog adds others by name, `qemu:dirty-bitmap:...` for one.
 *
 *   X1  LIST takes wildcards: no query is everything, `qemu:` or `qemu:dirty-bitmap:` is what begins
 *       so. SET takes exact names only, each once; what it does not know is passed over.
 *   X2  A context has one id from SET to the last answer: its place among those chosen, from 1 on.
 *   X3  A context that was chosen and is gone when the export is opened ends the attempt: no answer
 *       is better than one that says "nothing has changed" for want of knowing.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { ALLOCATION, type StatusExtent } from '@palimpsest/nbd-codec';

/** Answers for one kind of question about ranges. */
export interface MetaContext {
  /** Namespace, colon, name: `qemu:allocation-depth`. */
  readonly name: string;
  /**
   * Describes the bytes from `position` on, whole blocks of the device, in order and without gaps:
   * at least the first block, at most `length` bytes. The flags are the context's own.
   * @throws {StorageError} whatever is in the way; the client is answered an error.
   */
  describe(position: number, length: number): Promise<readonly StatusExtent[]>;
}

/** A context a client has chosen, and its id on the wire. */
export interface AgreedContext {
  readonly id: number;
  readonly context: MetaContext;
}

/** What a device says of itself: holes, and zeros. */
export function allocationContext(device: BlockDevice): MetaContext {
  return {
    name: 'base:allocation',
    async describe(position, length) {
      const extents = await device.extents(position, length);
      return extents.map((extent) => ({
        length: extent.length,
        flags: (extent.hole ? ALLOCATION.hole : 0) | (extent.zero ? ALLOCATION.zero : 0),
      }));
    },
  };
}

/** The names that LIST answers (X1), in the order of the offer. */
export function namesListed(offer: readonly MetaContext[], queries: readonly string[]): string[] {
  const wanted = (name: string): boolean =>
    queries.length === 0 ||
    queries.some((query) => query === name || (query.endsWith(':') && name.startsWith(query)));
  return offer.map(({ name }) => name).filter(wanted);
}

/** The names that SET chooses (X1), in the order they were asked for. */
export function namesChosen(offer: readonly MetaContext[], queries: readonly string[]): string[] {
  const known = new Set(offer.map(({ name }) => name));
  return [...new Set(queries)].filter((query) => known.has(query));
}

/** The chosen contexts of an export that is opened now, or undefined when one is gone (X3). */
export function agreedContexts(
  offer: readonly MetaContext[],
  chosen: readonly string[],
): readonly AgreedContext[] | undefined {
  const byName = new Map(offer.map((context) => [context.name, context]));
  const agreed: AgreedContext[] = [];
  for (const [index, name] of chosen.entries()) {
    const context = byName.get(name);
    if (context === undefined) return undefined;
    agreed.push({ id: index + 1, context });
  }
  return agreed;
}
