/**
 * SpaceForecast: when the save volume will be full, from how its use has grown while it was watched.
 *
 *   - The rate is the slope of the line through all samples that fits them best: one large write, or
 *     one deletion, in a day does not pass for a habit.
 *   - Nothing is said before two samples are some minutes apart.
 */
import type { SpaceReport } from '@palimpsest/save-volume';
import type { SpaceForecast } from './exchange-types.js';

/** Samples kept: a day's, one a minute. */
const SAMPLES_MAX = 1440;
/** How far apart the first and the last must be. */
const LEAST_MS = 5 * 60_000;
const DAY_MS = 24 * 60 * 60_000;

interface Sample {
  readonly at: number;
  readonly used: number;
}

/** The use of one save volume, watched. */
export interface SpaceWatch {
  /** Takes a sample. `now` in milliseconds. */
  sample(now: number, report: SpaceReport): void;
  forecast(now: number, report: SpaceReport): SpaceForecast;
}

/** Starts watching. */
export function watchSpace(): SpaceWatch {
  const samples: Sample[] = [];
  return {
    sample(now, { usedBytes }) {
      samples.push({ at: now, used: usedBytes });
      if (samples.length > SAMPLES_MAX) samples.shift();
    },
    forecast(now, report) {
      const all = [...samples, { at: now, used: report.usedBytes }];
      const observedMs = now - (all[0]?.at ?? now);
      const bytesPerDay = observedMs < LEAST_MS ? null : Math.round(slope(all) * DAY_MS);
      const left = leftBytes(report);
      const fills = bytesPerDay !== null && bytesPerDay > 0 && left !== null;
      return {
        usedBytes: report.usedBytes,
        leftBytes: left,
        observedMs,
        bytesPerDay,
        fullInDays: fills ? left / bytesPerDay : null,
      };
    },
  };
}

/** What can still be used; `null` when no limit is known. */
function leftBytes(report: SpaceReport): number | null {
  const { totalBytes, usedBytes, reservedBytes, maximumBytes, canGrow } = report;
  if (canGrow && maximumBytes === undefined) return null;
  const most = canGrow ? Math.max(totalBytes, maximumBytes ?? 0) : totalBytes;
  return Math.max(0, most - usedBytes - reservedBytes);
}

/** Bytes a millisecond, by least squares. */
function slope(samples: readonly Sample[]): number {
  const meanAt = samples.reduce((sum, { at }) => sum + at, 0) / samples.length;
  const meanUsed = samples.reduce((sum, { used }) => sum + used, 0) / samples.length;
  let above = 0;
  let below = 0;
  for (const { at, used } of samples) {
    above += (at - meanAt) * (used - meanUsed);
    below += (at - meanAt) ** 2;
  }
  return below === 0 ? 0 : above / below;
}
