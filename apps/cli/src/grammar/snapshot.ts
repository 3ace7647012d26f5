/** The grammar of snapshots. */
import { type AddNoun, collected, deleting, described, does, listing, replacing } from './words.js';

const load = () => import('../commands/snapshot.js');
const loadMount = () => import('../commands/mount.js');
const loadEdits = () => import('../commands/edit.js');

/** pal snapshot ... */
export const addSnapshot: AddNoun = (program, run) => {
  const snapshot = program
    .command('snapshot')
    .description('read-only snapshots of volumes and of branches');
  does(
    described(snapshot.command('create <target[@name]>'))
      .description(
        'take a snapshot of a volume or branch; without a name one is made from the time',
      )
      .option('--hold <tag>', 'keep it from being deleted until: pal snapshot unhold')
      .option('--expires <age>', 'delete it by itself after 2h, 30d, 12w'),
    run,
    async (context, target: string) => (await load()).createSnapshot(context, target),
  );
  does(
    listing(snapshot.command('list [target]')).description(
      'list snapshots of everything, of a volume, or of a branch; oldest first',
    ),
    run,
    async (context, target?: string) => (await load()).listSnapshots(context, target),
  );
  does(
    snapshot
      .command('info <snapshot>')
      .description(
        'show a snapshot: when, what for, whose, and whether its file system was at rest (clean) or ' +
          'is as after a power cut (crash-consistent)',
      ),
    run,
    async (context, reference: string) => (await load()).showSnapshot(context, reference),
  );
  does(
    deleting(snapshot.command('delete <snapshot>')).description(
      'delete a snapshot, in any order; it can be had back for a while: pal undo',
    ),
    run,
    async (context, reference: string) => (await load()).deleteSnapshot(context, reference),
  );
  does(
    replacing(snapshot.command('refresh <snapshot>'))
      .description('take a snapshot again under its name; what it was is kept under another')
      .option('--drop', 'do not keep what it was'),
    run,
    async (context, reference: string) => (await load()).refreshSnapshot(context, reference),
  );
  does(
    snapshot
      .command('mount <target> <directory>')
      .description(
        'show the snapshots of a volume or branch as directories, until Ctrl-C: such as .snapshots ' +
          'of the file system on it (Linux, root, libnbd-bin; a daemon must serve the store)',
      )
      .option('--images', 'show each as a directory with its disk.img; this needs no root'),
    run,
    async (context, target: string, directory: string) =>
      (await loadMount()).mountSnapshots(context, target, directory),
  );
  addEdits(snapshot, run);
};

/** What is said about a snapshot after it was taken. */
const addEdits: AddNoun = (snapshot, run) => {
  does(
    snapshot
      .command('hold <snapshot> <tag>')
      .description('keep a snapshot from being deleted, by whomever, until it is let go')
      .option('--reason <text>', 'why; whoever tries to delete it is told'),
    run,
    async (context, reference: string, tag: string) =>
      (await loadEdits()).hold(context, reference, tag),
  );
  does(
    snapshot.command('unhold <snapshot> <tag>').description('let a held snapshot go'),
    run,
    async (context, reference: string, tag: string) =>
      (await loadEdits()).unhold(context, reference, tag),
  );
  does(
    snapshot
      .command('edit <reference>')
      .description('rename or describe a snapshot, a branch or a volume')
      .option('--name <name>', 'its new name')
      .option('-m, --message <text>', 'what it is for; "" takes it away')
      .option('--label <name=value>', 'its labels from now on; can be said again', collected)
      .option('--no-labels', 'take all labels away')
      .option('--expires <age>', 'delete it by itself after 2h, 30d; "never" takes it back'),
    run,
    async (context, reference: string) => (await loadEdits()).edit(context, reference),
  );
};
