/** The grammar of schedules: snapshots that are taken by themselves. */
import { type AddNoun, does } from './words.js';

const load = () => import('../commands/schedule.js');

/** pal schedule set, list, remove. */
export const addSchedule: AddNoun = (program, run) => {
  const schedule = program
    .command('schedule')
    .description('snapshots that are taken by themselves');
  does(
    schedule
      .command('set <target>')
      .description('take a snapshot of a volume or branch each period, while the store is served')
      .option('--every <age>', 'the period: 15m, 1h, 1d (required)')
      .option('--keep <count>', 'so many of them are kept, the youngest (required)'),
    run,
    async (context, target: string) => (await load()).setSchedule(context, target),
  );
  does(
    schedule.command('list').description('list schedules, with what is due when'),
    run,
    async (context) => (await load()).listSchedules(context),
  );
  does(
    schedule.command('remove <target>').description('end a schedule; its snapshots stay'),
    run,
    async (context, target: string) => (await load()).removeSchedule(context, target),
  );
};
