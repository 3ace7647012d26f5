/** The grammar of restores. */
import { type AddNoun, does, replacing } from './words.js';

const load = () => import('../commands/restore.js');

/** pal restore ..., pal promote. */
export const addRestore: AddNoun = (program, run) => {
  const restore = replacing(program.command('restore [target]'))
    .description('make a volume or branch a chosen snapshot again, at once; what it was is kept')
    .option('--from <reference>', 'what it becomes: a snapshot, or a branch of it (required)')
    .option('--rate <size>', 'bytes a second copied back at most: 100M')
    .option('--wait', 'wait until all is copied back');
  does(restore, run, async (context, target?: string) => (await load()).restore(context, target));
  does(
    restore.command('status [target]').description('show restores that are being copied back'),
    run,
    async (context, target?: string) => (await load()).showRestores(context, target),
  );
  does(
    restore
      .command('pause <target>')
      .description('stop copying back for now; the volume reads as restored all the same'),
    run,
    async (context, target: string) => (await load()).pauseRestore(context, target),
  );
  does(
    restore
      .command('resume <target>')
      .description('go on copying back')
      .option('--rate <size>', 'bytes a second at most from now on')
      .option('--wait', 'wait until all is copied back'),
    run,
    async (context, target: string) => (await load()).resumeRestore(context, target),
  );
  does(
    replacing(restore.command('cancel <target>')).description(
      'go back to what it was before, at once; what was written since is kept',
    ),
    run,
    async (context, target: string) => (await load()).cancelRestore(context, target),
  );
  does(
    replacing(program.command('promote <branch>'))
      .description('make the volume of a branch what the branch is now, at once')
      .option('--rate <size>', 'bytes a second copied back at most: 100M')
      .option('--wait', 'wait until all is copied back'),
    run,
    async (context, branch: string) => (await load()).promote(context, branch),
  );
};
