/** pal schedule set, list, remove. */
import type { ScheduleInfo } from '@palimpsest/control';
import { parseAge, quote } from '@palimpsest/control/grammar';
import { type CommandContext, requiredOption, UsageError, withStore } from '../command-context.js';
import { type Column, formatTime } from '../output.js';

const SECOND_MS = 1000;

const COLUMNS: readonly Column<ScheduleInfo>[] = [
  { title: 'TARGET', value: ({ target }) => target },
  { title: 'EVERY', value: ({ everyMs }) => `${everyMs / SECOND_MS}s` },
  { title: 'KEEP', value: ({ keep }) => String(keep) },
  { title: 'LAST', value: ({ lastAt }) => (lastAt === undefined ? '-' : formatTime(lastAt)) },
  { title: 'NEXT', value: ({ nextAt }) => formatTime(nextAt) },
];

/** pal schedule set TARGET --every AGE --keep COUNT */
export async function setSchedule(context: CommandContext, target: string): Promise<void> {
  const every = requiredOption(context.options, 'every', '--every 1h');
  const kept = requiredOption(context.options, 'keep', '--keep 24');
  const everyMs = parseAge(every);
  if (everyMs === undefined) throw new UsageError(`${quote(every)} is no age; write 15m, 1h or 1d`);
  const keep = Number(kept);
  if (!Number.isSafeInteger(keep)) throw new UsageError(`${quote(kept)} is no number of snapshots`);
  await change(context, target, { everyMs, keep });
  context.output.say(
    `snapshots of ${target} every ${every}, ${keep} kept: pal snapshot list ${target}`,
  );
}

/** pal schedule list */
export async function listSchedules(context: CommandContext): Promise<void> {
  const schedules = await withStore(context, (client) => client.schedules());
  context.output.list('ScheduleList', schedules, COLUMNS, {});
  if (schedules.length === 0) {
    context.output.say('no schedules yet; make one: pal schedule set VOLUME --every 1h --keep 24');
  }
}

/** pal schedule remove TARGET */
export async function removeSchedule(context: CommandContext, target: string): Promise<void> {
  await change(context, target, null);
  context.output.say(`${target} has no schedule any more; the snapshots that it took stay`);
}

async function change(
  context: CommandContext,
  target: string,
  schedule: { readonly everyMs: number; readonly keep: number } | null,
): Promise<void> {
  const schedules = await withStore(context, (client) => client.setSchedule(target, schedule));
  context.output.list('ScheduleList', schedules, COLUMNS, {});
}
