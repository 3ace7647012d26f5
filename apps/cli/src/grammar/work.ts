/** The grammar of looking at everything, of what was done, and of the store's own matters. */
import { Option } from 'commander';
import { type AddNoun, does, replacing } from './words.js';

const load = () => import('../commands/work.js');

/** pal ls, undo, log, jobs, settings, verify. */
export const addWork: AddNoun = (program, run) => {
  does(
    program
      .command('ls [volume]')
      .description('show volumes with their snapshots and branches, as they stand on each other')
      .option('--tree', 'as a tree (the default; said for clarity)')
      .option('--flat', 'references only, one a line')
      .option('--deleted', 'what was deleted and is not gone yet, and what it waits for'),
    run,
    async (context, volume?: string) => (await import('../commands/tree.js')).list(context, volume),
  );
  does(
    replacing(program.command('undo [operation]')).description(
      'take back the last restore, refresh or deletion, or the one of that number',
    ),
    run,
    async (context, operation?: string) => (await load()).undo(context, operation),
  );
  does(
    program
      .command('log')
      .description('show who did what and when, newest first, and what can be undone')
      .addOption(new Option('-n, --limit <count>', 'so many at most').default('50')),
    run,
    async (context) => (await load()).showLog(context),
  );
  does(
    program
      .command('jobs [id]')
      .description('show work that goes on behind the scenes; with a number, wait for it'),
    run,
    async (context, id?: string) => (await load()).showJobs(context, id),
  );
  does(
    program
      .command('settings [changes...]')
      .description('show the settings of the store, or change some: grace=2d'),
    run,
    async (context, changes: readonly string[]) =>
      (await import('../commands/settings.js')).settings(context, changes),
  );
  does(
    program
      .command('verify')
      .description('check all metadata of the store; problems are told, and the exit code is 7')
      .option('--data', 'read every saved block too'),
    run,
    async (context) => (await load()).verify(context),
  );
};
