/** What an open store does again and again, and all of it at its end. */
import { isStorageError } from '@palimpsest/block-device';
import type { SaveVolume } from '@palimpsest/save-volume';
import type { ControlEnvironment } from './environment.js';

/**
 * How often what was written becomes durable without a flush: long enough to group, short enough
 * to lose little.
 */
const COMMIT_PERIOD_MS = 1000;
/** How often it is looked what has expired: soon enough for ages in minutes. */
const SWEEP_PERIOD_MS = 15_000;

/** Sweeps now and then, never twice at once. Returns how to stop. */
export function periodicSweep(
  environment: ControlEnvironment,
  work: () => Promise<void>,
): () => void {
  let running = false;
  return environment.every(SWEEP_PERIOD_MS, () => {
    if (running) return;
    running = true;
    work()
      .catch((error: unknown) => {
        if (isStorageError(error, 'ERR_CLOSED')) return;
        environment.logger.error('giving back what was deleted failed', { error: String(error) });
      })
      .finally(() => {
        running = false;
      });
  });
}

/**
 * Commits each period whatever has no commit under way; says once when that fails. Who has a slow image
 * keeps nobody else waiting. Returns how to stop.
 */
export function periodicCommit(environment: ControlEnvironment, save: SaveVolume): () => void {
  let failing = false;
  return environment.every(COMMIT_PERIOD_MS, () => {
    save.commitIdle().then(
      () => {
        failing = false;
      },
      (error: unknown) => {
        // Whoever flushes hears of it as an error; the log says it once, not each second.
        if (!failing) environment.logger.error('periodic commit failed', { error: String(error) });
        failing = true;
      },
    );
  });
}

/** Runs every step, whatever the earlier ones did, then throws the first failure. */
export async function runAll(steps: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
