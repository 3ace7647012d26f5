/**
 * The grammar of the command line: noun, verb, arguments, options. Nothing else is loaded to read
 * it; a command's own code comes when it runs.
 */
import { Command } from 'commander';
import { addExchange } from './exchange-program.js';
import { addBranch } from './grammar/branch.js';
import { addFiles } from './grammar/files.js';
import { addGroup } from './grammar/group.js';
import { addRestore } from './grammar/restore.js';
import { addSchedule } from './grammar/schedule.js';
import { addSnapshot } from './grammar/snapshot.js';
import { addStore } from './grammar/store.js';
import { addVolume } from './grammar/volume.js';
import type { RunCommand } from './grammar/words.js';
import { addWork } from './grammar/work.js';

const REFERENCES = `
References:
  prod          the volume            prod@latest   its youngest snapshot
  prod@monday   its snapshot          prod@2h       its youngest snapshot at least 2 hours old
  prod/dev      its branch            prod/dev@a    a snapshot of the branch
`;

/** Builds the command line; `run` carries a command out. */
export function createProgram(run: RunCommand): Command {
  const program = new Command('palimpsest')
    .alias('pal')
    .description('Snapshots and writable branches of any disk, in user space.')
    .usage('[options] <noun> <verb>')
    .option('--store <dir>', 'the store (or PALIMPSEST_STORE) (default: ./palimpsest-store)')
    .option('--json', 'data as one JSON document on stdout, messages as JSON lines on stderr')
    .option('-V, --version', 'show the version')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(see what there is: pal --help)')
    .addHelpText('after', REFERENCES);
  const nouns = [
    addStore,
    addVolume,
    addSnapshot,
    addGroup,
    addBranch,
    addRestore,
    addSchedule,
    addFiles,
    addWork,
  ];
  for (const add of nouns) add(program, run);
  addExchange(program, run);
  return program;
}
