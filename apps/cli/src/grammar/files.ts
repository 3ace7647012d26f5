/** The grammar of files: what is on volumes, snapshots and branches. */
import type { Command } from 'commander';
import { type AddNoun, does, withCare } from './words.js';

const load = () => import('../commands/files.js');
const loadCopy = () => import('../commands/file-copy.js');

/** pal fs ... */
export const addFiles: AddNoun = (program, run) => {
  const fs = program
    .command('fs')
    .description(
      'files on volumes, snapshots and branches: REFERENCE:PATH, such as prod@monday:/etc',
    );
  does(
    onDisk(fs.command('ls <path>'))
      .description('list a directory of any volume, snapshot or branch')
      .option('-l, --long', 'with mode, owner, size and time')
      .option('-R, --recursive', 'and all below it, with the whole path')
      .option('-a, --all', 'names that begin with a dot too'),
    run,
    async (context, path: string) => (await load()).listFiles(context, path),
  );
  does(
    onDisk(fs.command('cat <paths...>')).description('write files to stdout'),
    run,
    async (context, paths: readonly string[]) => (await loadCopy()).writeOut(context, paths),
  );
  does(
    onDisk(fs.command('df [references...]')).description(
      'show the space of file systems, and of the store beneath them; without a reference of all ' +
        'volumes and branches',
    ),
    run,
    async (context, references: readonly string[]) => (await load()).showSpace(context, references),
  );
  does(
    onDisk(fs.command('diff <before> <after>')).description(
      'list the paths that are not the same in two snapshots, volumes or branches: + - or M',
    ),
    run,
    async (context, before: string, after: string) =>
      (await load()).showChanges(context, before, after),
  );
  does(
    onDisk(fs.command('check <reference>')).description(
      'look through the whole file system on a volume, snapshot or branch; nothing is changed',
    ),
    run,
    async (context, reference: string) => (await load()).checkFiles(context, reference),
  );
  addChanging(fs, run);
};

/** What changes files. */
const addChanging: AddNoun = (fs, run) => {
  does(
    onDisk(withCare(fs.command('format <target>')))
      .description('make an empty file system on a volume or branch, in the format of ext4')
      .option('--label <name>', 'what it is called: 16 bytes at most'),
    run,
    async (context, target: string) => (await load()).formatVolume(context, target),
  );
  does(
    onDisk(fs.command('cp <paths...>'))
      .description(
        'copy files from here, or from any volume, snapshot or branch, to a volume or branch, or ' +
          'here; "-" is stdin or stdout. Modes, times, links and holes are kept',
      )
      .option('-r, --recursive', 'directories, with all that is in them'),
    run,
    async (context, paths: readonly string[]) => (await loadCopy()).copyFiles(context, paths),
  );
  does(
    onDisk(fs.command('mkdir <paths...>'))
      .description('make directories')
      .option('-p, --parents', 'those above too; content when it is there'),
    run,
    async (context, paths: readonly string[]) => (await load()).makeDirectories(context, paths),
  );
  does(
    onDisk(fs.command('rm <paths...>'))
      .description('remove files')
      .option('-r, --recursive', 'directories, with all that is in them')
      .option('-f, --force', 'content when there is nothing'),
    run,
    async (context, paths: readonly string[]) => (await load()).removeFiles(context, paths),
  );
  does(
    onDisk(fs.command('mv <from> <to>')).description(
      'rename a file or directory within a volume or branch, or move it into a directory',
    ),
    run,
    async (context, from: string, to: string) => (await load()).moveFile(context, from, to),
  );
};

/** Options of all that looks into a disk. */
function onDisk(command: Command): Command {
  return command.option('--partition <number>', 'of a disk with partitions: which, from 1');
}
