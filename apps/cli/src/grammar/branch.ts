/** The grammar of branches. */
import { type AddNoun, collected, deleting, does, listing, replacing } from './words.js';

const load = () => import('../commands/branch.js');

/** pal branch ... */
export const addBranch: AddNoun = (program, run) => {
  const branch = program.command('branch').description('writable branches of snapshots');
  does(
    branch
      .command('create <name>')
      .description('make a branch of a snapshot; it costs nothing until it is written')
      .option(
        '--from <reference>',
        'its base: prod@monday, prod@latest, prod/dev@a; of prod or prod/dev a snapshot is taken (required)',
      )
      .option('--quota <size>', 'bytes that it may have of its own: 1G')
      .option('--label <name=value>', 'a word of your own; can be said more than once', collected),
    run,
    async (context, name: string) => (await load()).createBranch(context, name),
  );
  does(
    listing(branch.command('list [volume]')).description('list branches'),
    run,
    async (context, volume?: string) => (await load()).listBranches(context, volume),
  );
  does(
    deleting(branch.command('delete <branch>'))
      .description('delete a branch and what was written to it; pal undo brings it back')
      .option('--recursive', 'its snapshots too'),
    run,
    async (context, reference: string) => (await load()).deleteBranch(context, reference),
  );
  does(
    replacing(branch.command('refresh <branch>'))
      .description('make a branch a chosen snapshot again, older or newer; what it was is kept')
      .option('--from <reference>', 'what it becomes: a snapshot, a volume, a branch (required)')
      .option('--drop', 'do not keep what it was'),
    run,
    async (context, reference: string) => (await load()).refreshBranch(context, reference),
  );
  does(
    branch
      .command('flatten <branch>')
      .description('make a branch independent of its base, behind its back')
      .option('--rate <size>', 'bytes a second at most: 100M')
      .option('--wait', 'wait until it is done')
      .option('--pause', 'pause it; say flatten again to go on'),
    run,
    async (context, reference: string) => (await load()).flattenBranch(context, reference),
  );
  does(
    branch
      .command('quota <branch> <size>')
      .description('limit what a branch may have of its own; "none" takes the limit away'),
    run,
    async (context, reference: string, size: string) =>
      (await load()).setQuota(context, reference, size),
  );
};
