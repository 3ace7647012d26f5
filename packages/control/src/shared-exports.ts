/**
 * SharedExports: the devices that are open by reference. All openers of one reference share one
 * device; it is closed when the last of them lets go.
 *
 *   SH1  Who has a reference alone shares it with nobody.
 *   SH2  An opener that keeps a device only in case it is needed again says how it lets go (`letGo`),
 *        and is asked before its keeping would be in anybody's way.
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

/** How a device is opened. */
export interface OpenHow {
  /** Share it with nobody, as one does who caches what it holds. @default false */
  readonly alone?: boolean;
  /**
   * Asked when the device is wanted otherwise: ends the use of it, and answers true, or answers false.
   * With `force` it has to end. It has let go with the answer, and waits for no turn of the store.
   */
  readonly letGo?: (force: boolean) => Promise<boolean>;
}

interface Entry {
  readonly opened: OpenedDevice;
  readonly alone: boolean;
  readonly openers: Set<OpenHow>;
  /** Resolves when the export was ended under its openers. */
  readonly ended: Promise<void>;
  end(): void;
}

function newEntry(opened: OpenedDevice, alone: boolean): Entry {
  let end: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { opened, alone, openers: new Set(), ended, end };
}

/** The open devices. `acquire` must run alone: see `createSharedExports`. */
export interface SharedExports {
  acquire(reference: string, open: () => Promise<OpenedDevice>, how?: OpenHow): Promise<Share>;
  /** Asks those who can let go to do so (SH2). Runs alone, as `acquire` does. */
  vacate(reference: string): Promise<void>;
  /**
   * Lets `endClients` end the sessions of who has the reference open, then closes it for good: what
   * is opened by that name afterwards is opened anew. Runs alone, as `acquire` does.
   */
  end(reference: string, endClients: (reference: string) => Promise<void>): Promise<void>;
  /** How many have the reference open. */
  openers(reference: string): number;
  /** Whether somebody has it alone (SH1). */
  isAlone(reference: string): boolean;
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

  /** Forgets an entry and closes its device; whoever waits to give it back need not. */
  async function close(reference: string, entry: Entry): Promise<void> {
    if (open.get(reference) === entry) open.delete(reference);
    entry.end();
    await entry.opened.close();
  }

  return {
    async acquire(reference, openDevice, how = {}) {
      let entry = open.get(reference);
      if (entry === undefined) {
        entry = newEntry(await openDevice(), how.alone === true);
        open.set(reference, entry);
      }
      const mine = entry;
      const opener = { ...how };
      mine.openers.add(opener);
      let released: Promise<void> | undefined;
      const giveBack = async (): Promise<void> => {
        mine.openers.delete(opener);
        if (mine.openers.size > 0 || open.get(reference) !== mine) return;
        const closed = exclusive(async () => {
          if (mine.openers.size > 0 || open.get(reference) !== mine) return;
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
    async vacate(reference) {
      const entry = open.get(reference);
      if (entry === undefined) return;
      for (const opener of [...entry.openers]) {
        if ((await opener.letGo?.(false)) === true) entry.openers.delete(opener);
      }
      if (entry.openers.size === 0 && open.get(reference) === entry) await close(reference, entry);
    },
    async end(reference, endClients) {
      const entry = open.get(reference);
      if (entry === undefined) return;
      open.delete(reference);
      entry.end();
      for (const opener of entry.openers) await opener.letGo?.(true);
      await endClients(reference);
      await close(reference, entry);
    },
    openers: (reference) => open.get(reference)?.openers.size ?? 0,
    isAlone: (reference) => open.get(reference)?.alone === true,
    count: () => open.size,
    async closeAll() {
      const all = [...open];
      open.clear();
      for (const [reference, entry] of all) {
        for (const opener of entry.openers) await opener.letGo?.(true);
        await close(reference, entry);
      }
    },
  };
}
