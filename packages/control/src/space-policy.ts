/**
 * SpacePolicy: what a store does when its save volume has no more space, and what it says before (I8).
 * The save volume asks it before it refuses anything (`onPressure`), and tells it of growth and of
 * thresholds; it is made before the save volume is opened and begins when the store is.
 *
 *   F1  Space is found in this order, no more than is needed: what was deleted and can still be had
 *       back; growth, as far as it may; then, with the policy `drop-oldest`, the oldest snapshots that
 *       nobody needs. Then the write is refused. With `fail-writes` no snapshot goes that nobody deleted.
 *   F2  It waits for no other change of the store: the change that is under way may be the one that
 *       needs the space. So each of its own is one commit that looks at what it changes.
 *   F3  It never makes things worse: whatever fails in it, the write is refused as without it.
 *   F4  A store that stays full says so once, and again when it is full anew; one that stays near a
 *       threshold says so once, and again when it was clearly below it in between.
 */
import { isStorageError } from '@palimpsest/block-device';
import type { SaveVolume, SaveVolumeOptions, SpaceReport } from '@palimpsest/save-volume';
import type { Logger } from './environment.js';

/** The settings it goes by; see `StoreSettings`. */
export interface SpaceSettings {
  readonly fullPolicy: 'fail-writes' | 'drop-oldest';
  readonly maximumBytes: number | null;
  readonly highWaterPercent: number;
}

/** What it tells of. */
export interface SpaceEvent {
  readonly type: 'high-water' | 'full' | 'grown';
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly detail: string;
}

/** What it works with, once the store is open. */
export interface SpacePolicyParts {
  readonly save: SaveVolume;
  readonly logger: Logger;
  readonly now: () => number;
  readonly every: (periodMs: number, work: () => void) => () => void;
  readonly settings: () => SpaceSettings;
  /** Gives back something that was deleted and can still be had back. Tells whether there was any. */
  readonly purgeOne: () => Promise<boolean>;
  /** Deletes the oldest snapshots that nobody needs, until that gives space back. The same. */
  readonly dropOldest: () => Promise<boolean>;
  readonly emit: (event: SpaceEvent) => void;
}

/** How often it is looked whether a full store still is. Milliseconds. */
const LOOK_PERIOD_MS = 60_000;

/** Percent points below a threshold that count as clearly below. */
const CLEARLY_BELOW = 5;

/** See the file header. */
export class SpacePolicy {
  #parts: SpacePolicyParts | undefined;
  #stopLooking: () => void = () => undefined;
  #working: Promise<boolean> | undefined;
  #purging: Promise<boolean> | undefined;
  /** F4: set while the store is known to be full: the bytes that there was no space for. */
  #refusedBytes: number | undefined;
  /** F4: set while the use of space is known to be above the threshold, or not much below. */
  #isHigh = false;

  /** For `openSaveVolume`. */
  readonly saveOptions: Required<
    Pick<SaveVolumeOptions, 'beforeGrowth' | 'onPressure' | 'onGrown' | 'onSpace'>
  > = {
    beforeGrowth: () => this.#purge(),
    onPressure: (neededBytes) => {
      this.#working ??= this.#giveBack(neededBytes).finally(() => {
        this.#working = undefined;
      });
      return this.#working;
    },
    onGrown: ({ totalBytes }) => {
      this.#refusedBytes = undefined;
      this.#tell('grown', `the save volume has ${totalBytes} bytes now`);
    },
    onSpace: ({ percent, rising, report }) => {
      if (!rising || this.#isHigh) return;
      this.#isHigh = true;
      const most = mostBytes(report) ?? report.totalBytes;
      const detail = `${percent} % of ${most} bytes are used`;
      this.#parts?.logger.warn(`the store fills up: ${detail}; see what takes it: pal space`);
      this.#tell('high-water', detail);
    },
  };

  /** Begins. Until then nothing is given back and nothing told. */
  begin(parts: SpacePolicyParts): void {
    this.#parts = parts;
    this.configured();
    this.#stopLooking = parts.every(LOOK_PERIOD_MS, () => this.#look());
  }

  /** Goes by other settings from now on: `settings` tells them. */
  configured(): void {
    if (this.#parts === undefined) return;
    this.#isHigh = false;
    const { save, settings } = this.#parts;
    const { maximumBytes, highWaterPercent } = settings();
    save.setMaximumBytes(maximumBytes ?? undefined);
    save.setHighWater([highWaterPercent]);
  }

  /** Takes no part any more. Resolves when what is under way has ended. */
  async end(): Promise<void> {
    this.#stopLooking();
    this.#parts = undefined;
    await Promise.all([this.#working, this.#purging]);
  }

  /** F1. */
  async #giveBack(neededBytes: number): Promise<boolean> {
    if (this.#parts === undefined) return false;
    const { logger, settings, dropOldest } = this.#parts;
    try {
      // Asked for before growth already, by those who need space for data; not by the others.
      if (await this.#purge()) return true;
      const drops = settings().fullPolicy === 'drop-oldest';
      if (drops && (await dropOldest())) return true;
      if (this.#refusedBytes === undefined) {
        const policy = drops ? 'and no snapshot may be dropped' : 'and the policy is fail-writes';
        const detail = `no space for ${neededBytes} bytes, ${policy}`;
        logger.warn(`the store is full: ${detail}; see what takes it: pal space`);
        this.#tell('full', detail);
      }
      this.#refusedBytes = neededBytes;
    } catch (error) {
      this.#excuse(error, logger);
    }
    return false;
  }

  /** One at a time: two who need space must not cost two deleted things where one is enough. */
  #purge(): Promise<boolean> {
    this.#purging ??= this.#purgeOne().finally(() => {
      this.#purging = undefined;
    });
    return this.#purging;
  }

  async #purgeOne(): Promise<boolean> {
    if (this.#parts === undefined) return false;
    const { logger, purgeOne } = this.#parts;
    try {
      return await purgeOne();
    } catch (error) {
      this.#excuse(error, logger);
      return false;
    }
  }

  /** F3: who needs the space is told that there is none, which is true. */
  #excuse(error: unknown, logger: Logger): void {
    if (!isStorageError(error)) throw error;
    if (error.code === 'ERR_CLOSED') return;
    logger.error(`giving space back failed: ${error.message}`);
  }

  #look(): void {
    if (this.#parts === undefined) return;
    const { save, settings } = this.#parts;
    const report = save.space();
    const { freeBytes, reservedBytes, usedBytes, totalBytes } = report;
    const low = (settings().highWaterPercent - CLEARLY_BELOW) / 100;
    const most = mostBytes(report) ?? totalBytes;
    if (usedBytes + reservedBytes < low * most) this.#isHigh = false;
    const refused = this.#refusedBytes;
    if (refused !== undefined && freeBytes - reservedBytes > refused) {
      this.#refusedBytes = undefined;
    }
  }

  #tell(type: SpaceEvent['type'], detail: string): void {
    if (this.#parts === undefined) return;
    this.#parts.emit({ type, at: this.#parts.now(), detail });
  }
}

/**
 * Times that something is given back for one piece of work: an entry or two is all that those need
 * which use this. Who asks for more than the store can ever have must not cost every snapshot.
 */
const RELIEFS_MAX = 4;

/**
 * Does `work`, and again when there was no space for it and the policy gave some back. Only for work
 * that changes nothing when it is refused, and that needs a few blocks at most, in the save volume.
 * @throws {StorageError} ERR_NO_SPACE when there is no more to be had.
 */
export async function withRelief<Result>(
  save: SaveVolume,
  work: () => Promise<Result>,
): Promise<Result> {
  for (let reliefs = 0; ; reliefs += 1) {
    try {
      return await work();
    } catch (error) {
      if (!isStorageError(error, 'ERR_NO_SPACE') || reliefs === RELIEFS_MAX) throw error;
      if (!(await save.relieve(save.blockSize))) throw error;
    }
  }
}

/** Bytes that may be used in all, as far as that is known. */
function mostBytes({ canGrow, totalBytes, maximumBytes }: SpaceReport): number | undefined {
  return canGrow ? maximumBytes && Math.max(maximumBytes, totalBytes) : totalBytes;
}
