/**
 * SharedExports: the devices that are open by reference. All openers of one reference share one
 * device; it is closed when the last of them lets go.
 */
import type { BlockDevice } from '@palimpsest/block-device';

/** A device and how to close it. */
export interface OpenedDevice {
  readonly device: BlockDevice;
  close(): Promise<void>;
}

/** One opener's share. */
export interface Share {
  readonly device: BlockDevice;
  /** Idempotent: a share is given back once. */
  release(): Promise<void>;
}

/** The open devices. `acquire` must run alone: see `createSharedExports`. */
export interface SharedExports {
  acquire(reference: string, open: () => Promise<OpenedDevice>): Promise<Share>;
  /** How many have the reference open. */
  openers(reference: string): number;
  /** How many references are open. */
  count(): number;
  /** Closes everything, whoever has it open. */
  closeAll(): Promise<void>;
}

/**
 * Makes the set. `exclusive` runs one piece of work at a time: without it, an opener arriving while
 * the last one leaves would be handed a device that is being closed.
 */
export function createSharedExports(
  exclusive: <T>(work: () => Promise<T>) => Promise<T>,
): SharedExports {
  const open = new Map<string, { opened: OpenedDevice; openers: number }>();

  return {
    async acquire(reference, openDevice) {
      let entry = open.get(reference);
      if (entry === undefined) {
        entry = { opened: await openDevice(), openers: 0 };
        open.set(reference, entry);
      }
      entry.openers += 1;
      const mine = entry;
      let released: Promise<void> | undefined;
      return {
        device: mine.opened.device,
        release() {
          released ??= exclusive(async () => {
            mine.openers -= 1;
            if (mine.openers > 0 || open.get(reference) !== mine) return;
            open.delete(reference);
            await mine.opened.close();
          });
          return released;
        },
      };
    },
    openers: (reference) => open.get(reference)?.openers ?? 0,
    count: () => open.size,
    async closeAll() {
      const all = [...open.values()];
      open.clear();
      for (const { opened } of all) await opened.close();
    },
  };
}
