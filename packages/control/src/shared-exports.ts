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

interface Entry {
  readonly opened: OpenedDevice;
  openers: number;
  /** Resolves when the export was ended under its openers. */
  readonly ended: Promise<void>;
  end(): void;
}

function newEntry(opened: OpenedDevice): Entry {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { opened, openers: 0, ended, end };
}

/** The open devices. `acquire` must run alone: see `createSharedExports`. */
export interface SharedExports {
  acquire(reference: string, open: () => Promise<OpenedDevice>): Promise<Share>;
  /**
   * Lets `endClients` end the sessions of who has the reference open, then closes it for good: what
   * is opened by that name afterwards is opened anew. Runs alone, as `acquire` does.
   */
  end(reference: string, endClients: (reference: string) => Promise<void>): Promise<void>;
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
  const open = new Map<string, Entry>();

  return {
    async acquire(reference, openDevice) {
      let entry = open.get(reference);
      if (entry === undefined) {
        entry = newEntry(await openDevice());
        open.set(reference, entry);
      }
      entry.openers += 1;
      const mine = entry;
      let released: Promise<void> | undefined;
      const giveBack = async (): Promise<void> => {
        mine.openers -= 1;
        if (mine.openers > 0 || open.get(reference) !== mine) return;
        const closed = exclusive(async () => {
          if (mine.openers > 0 || open.get(reference) !== mine) return;
          open.delete(reference);
          await mine.opened.close();
        });
        // Whoever ends the export has the turn that this waits for, and waits for this.
        await Promise.race([closed, mine.ended]);
      };
      return {
        device: mine.opened.device,
        release() {
          released ??= giveBack();
          return released;
        },
      };
    },
    async end(reference, endClients) {
      const entry = open.get(reference);
      if (entry === undefined) return;
      open.delete(reference);
      entry.end();
      await endClients(reference);
      await entry.opened.close();
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
