/** The grammar of pal diff, space, export and import. */
import type { Command } from 'commander';
import type { RunCommand } from './grammar/words.js';

/** Adds the commands. */
export function addExchange(program: Command, run: RunCommand): void {
  program
    .command('diff <a> <b>')
    .description('list where two volumes, snapshots or branches may differ: byte and length a line')
    .action(function (this: Command, a: string, b: string) {
      return run(this, async (context) =>
        (await import('./commands/exchange.js')).showDifference(context, a, b),
      );
    });
  program
    .command('space [references...]')
    .description('show whose the space of the save volume is, and when it ends')
    .option('--delete <references...>', 'tell what deleting these together would give back')
    .action(function (this: Command, references: string[]) {
      return run(this, async (context) =>
        (await import('./commands/exchange.js')).showSpace(context, references),
      );
    });
  program
    .command('export <snapshot>')
    .description('write a snapshot to stdout, or only what changed since another one')
    .option('--from <snapshot>', 'the base: what the receiver has already')
    .option('--start <byte>', 'leave out what comes before: where a broken import goes on')
    .action(function (this: Command, reference: string) {
      return run(this, async (context) =>
        (await import('./commands/exchange.js')).exportSnapshot(context, reference),
      );
    });
  program
    .command('import')
    .description('read an export from stdin into a volume, and take its snapshot at the end')
    .option('--to <volume>', 'the volume; made when the export is a whole one')
    .option('--name <name>', 'the name of the snapshot (default: that of the exported one)')
    .option('--unfinished', 'list imports that were interrupted, and read nothing')
    .action(function (this: Command) {
      return run(this, async (context) =>
        (await import('./commands/exchange.js')).importSnapshot(context),
      );
    });
}
