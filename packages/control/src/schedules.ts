/**
 * Schedules: snapshots of a volume or branch that are taken by themselves, and as many kept as the
 * schedule says.
 *
 *   T1  A snapshot is due when the last one of the schedule is as old as its period. What was missed
 *       while nobody had the store open is not made up for: one is taken, late.
 *   T2  Only snapshots that the schedule took are deleted by it, the oldest first, and never one that
 *       is held or that something stands on.
 */
import { StorageError } from '@palimpsest/block-device';
import type { SnapshotRecord } from '@palimpsest/ro-snapshot';
import { type FoundTarget, find, findTarget, snapshotsOf } from './catalog.js';
import type { StoreContext } from './context.js';
import { dependantsOf } from './dependants.js';
import { recordOperation } from './operation-log.js';
import {
  branchAttributes,
  changeAttributes,
  snapshotAttributes,
  volumeAttributes,
} from './records.js';
import { branchReference } from './references.js';
import { createSnapshot } from './snapshot-operations.js';
import type { Attribution } from './store-types.js';
import type { ScheduleInfo } from './work-types.js';

/** The label of a snapshot that a schedule took; its value is "1". */
const LABEL = 'scheduled';
/** A shorter period would be less than the sweep that looks for it. */
const SHORTEST_MS = 15_000;

interface Schedule {
  readonly everyMs: number;
  readonly keep: number;
}

/** See `Store.setSchedule`. */
export async function setSchedule(
  context: StoreContext,
  reference: string,
  schedule: Schedule | null,
  { by }: Attribution,
): Promise<readonly ScheduleInfo[]> {
  const { environment, index, save } = context;
  const target = findTarget(index, reference);
  if (schedule !== null) assertSchedule(schedule);
  await save.transact((batch) => {
    changeAttributes(save, batch, idOf(target), { schedule: schedule ?? undefined });
    recordOperation(save, batch, {
      at: environment.now(),
      by: by ?? context.by,
      kind: 'schedule',
      target: target.reference,
      detail: schedule === null ? 'none' : `every ${schedule.everyMs} ms, ${schedule.keep} kept`,
    });
  });
  return listSchedules(context);
}

/** Every schedule, by reference. */
export function listSchedules(context: StoreContext): readonly ScheduleInfo[] {
  return targets(context).flatMap((target) => {
    const schedule = scheduleOf(target);
    if (schedule === undefined) return [];
    const last = taken(target).at(-1);
    const lastAt = last === undefined ? undefined : snapshotAttributes(last).createdAt;
    const nextAt = lastAt === undefined ? context.environment.now() : lastAt + schedule.everyMs;
    return [
      {
        target: target.reference,
        ...schedule,
        ...(lastAt === undefined ? {} : { lastAt: new Date(lastAt).toISOString() }),
        nextAt: new Date(nextAt).toISOString(),
      },
    ];
  });
}

/** Takes what is due (T1), and deletes what is more than is to be kept (T2). */
export async function runSchedules(context: StoreContext): Promise<void> {
  const { environment, index, save } = context;
  const now = environment.now();
  for (const target of targets(context)) {
    const schedule = scheduleOf(target);
    if (schedule === undefined) continue;
    const last = taken(target).at(-1);
    if (last !== undefined && snapshotAttributes(last).createdAt + schedule.everyMs > now) continue;
    try {
      await createSnapshot(context, {
        volume: target.reference,
        labels: { [LABEL]: '1' },
        by: 'schedule',
      });
    } catch (error) {
      environment.logger.warn(`the schedule of ${target.reference} failed: ${String(error)}`);
      continue;
    }
    const again = find(index, target.reference, now) as FoundTarget;
    const all = taken(again);
    const free = all
      .slice(0, Math.max(0, all.length - schedule.keep))
      .filter(({ attributes, id }) => {
        return attributes.holds === undefined && dependantsOf(context, id).length === 0; // T2
      });
    for (const { id } of free) {
      await save.transact((batch) => {
        changeAttributes(save, batch, id, { removed: { at: now, until: now, by: 'schedule' } });
      });
    }
  }
}

/** Snapshots that the schedule took, oldest first. */
function taken(target: FoundTarget): readonly SnapshotRecord[] {
  return snapshotsOf(target).filter((each) => snapshotAttributes(each).labels?.[LABEL] === '1');
}

function targets({ index }: StoreContext): FoundTarget[] {
  return index.volumes().flatMap((volume): FoundTarget[] => {
    const { name } = volumeAttributes(volume);
    return [
      { kind: 'volume', reference: name, volume },
      ...index.branchesOf(volume).map((branch): FoundTarget => {
        const reference = branchReference(name, branchAttributes(branch).name);
        return { kind: 'branch', reference, volume, branch };
      }),
    ];
  });
}

function scheduleOf(target: FoundTarget): Schedule | undefined {
  const { attributes } = target.kind === 'branch' ? target.branch : target.volume;
  const { schedule } = attributes as { readonly schedule?: Schedule };
  return schedule;
}

function idOf(target: FoundTarget): number {
  return target.kind === 'branch' ? target.branch.id : target.volume.id;
}

function assertSchedule({ everyMs, keep }: Schedule): void {
  if (!Number.isSafeInteger(everyMs) || everyMs < SHORTEST_MS) {
    throw new StorageError(
      'ERR_INVALID',
      `a snapshot every ${everyMs} ms is too often; at least ${SHORTEST_MS} ms: say an age such as 1h`,
    );
  }
  if (Number.isSafeInteger(keep) && keep >= 1) return;
  throw new StorageError('ERR_INVALID', `${keep} snapshots cannot be kept; at least 1`);
}
