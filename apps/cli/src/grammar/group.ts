/** The grammar of groups: what is done to several volumes and branches at one instant. */
import { type AddNoun, described, does } from './words.js';

/** pal group snapshot. */
export const addGroup: AddNoun = (program, run) => {
  const group = program.command('group').description('several volumes and branches at once');
  does(
    described(group.command('snapshot <targets...>'))
      .description('take snapshots of several, all as of one instant, under one name')
      .option('--name <name>', 'the name of each (default: made from the time)')
      .option('--hold <tag>', 'keep them from being deleted')
      .option('--expires <age>', 'delete them by themselves after 2h, 30d'),
    run,
    async (context, targets: readonly string[]) =>
      (await import('../commands/snapshot.js')).createGroupSnapshot(context, targets),
  );
};
