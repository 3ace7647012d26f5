/**
 * The grammar of the command line: noun, verb, arguments, options. Nothing else is loaded to read
 * it; a command's own code comes when it runs.
 */
import { Command, Option } from 'commander';
import type { CommandContext } from './command-context.js';
import { addExchange } from './exchange-program.js';

/** Runs a command with what was typed. */
export type RunCommand = (
  command: Command,
  work: (context: CommandContext) => Promise<void>,
) => Promise<void>;

const REFERENCES = `
References:
  prod          the volume            prod@latest   its youngest snapshot
  prod@monday   its snapshot          prod@2h       its youngest snapshot at least 2 hours old
  prod/dev      its branch
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

  program
    .command('init [dir]')
    .description('make an empty store')
    .option('--block-size <bytes>', 'bytes in a block: the unit that is saved (default: 4096)')
    .action(function (this: Command, dir?: string) {
      return run(this, async (context) =>
        (await import('./commands/store.js')).initStore(context, dir),
      );
    });
  program
    .command('serve')
    .description('serve the store to NBD clients and to pal, until Ctrl-C')
    .option('--socket <path>', "the NBD socket (default: nbd.sock in the store's directory)")
    .option('--tcp <[host:]port>', 'serve NBD on a loopback port too; 0 is any port')
    .addOption(
      new Option('--log-level <level>', 'how much to log').choices([
        'debug',
        'info',
        'warn',
        'error',
      ]),
    )
    .action(function (this: Command) {
      return run(this, async (context) => (await import('./commands/serve.js')).serve(context));
    });
  program
    .command('status')
    .description('show the store, its space, and who uses it')
    .action(function (this: Command) {
      return run(this, async (context) =>
        (await import('./commands/store.js')).showStatus(context),
      );
    });
  program
    .command('demo')
    .description('make or open a store with a volume, serve it, and say what to try')
    .action(function (this: Command) {
      return run(this, async (context) => (await import('./commands/serve.js')).demo(context));
    });

  addVolume(program, run);
  addSnapshot(program, run);
  addBranch(program, run);
  addExchange(program, run);
  return program;
}

function addVolume(program: Command, run: RunCommand): void {
  const volume = program.command('volume').description('production volumes: what users write to');
  volume
    .command('create <name>')
    .description("make a volume of zeros, its raw image in the store's directory")
    .option('--size <size>', 'bytes, or with K, M, G, T: 64M, 1.5G, 16T (required)')
    .option('--allocate', 'take the space now instead of as it is written')
    .action(function (this: Command, name: string) {
      return run(this, async (context) =>
        (await import('./commands/volume.js')).createVolume(context, name),
      );
    });
  volume
    .command('adopt <image>')
    .description('take a raw image or block device as a volume, in place: no byte changes')
    .option('--name <name>', "the volume's name (default: the file's, without .img or .raw)")
    .action(function (this: Command, image: string) {
      return run(this, async (context) =>
        (await import('./commands/volume.js')).adoptVolume(context, image),
      );
    });
  withCare(volume.command('release <name>'))
    .description('give the image back: afterwards it is a plain, complete raw file')
    .option('--drop-snapshots', 'delete its snapshots and branches first')
    .action(function (this: Command, name: string) {
      return run(this, async (context) =>
        (await import('./commands/volume.js')).releaseVolume(context, name),
      );
    });
  listing(volume.command('list'))
    .description('list volumes')
    .action(function (this: Command) {
      return run(this, async (context) =>
        (await import('./commands/volume.js')).listVolumes(context),
      );
    });
}

function addSnapshot(program: Command, run: RunCommand): void {
  const snapshot = program.command('snapshot').description('read-only snapshots of volumes');
  snapshot
    .command('create <volume[@name]>')
    .description('take a snapshot; a name is made from the time when none is given')
    .option('-m, --message <text>', 'what it is for')
    .action(function (this: Command, target: string) {
      return run(this, async (context) =>
        (await import('./commands/snapshot.js')).createSnapshot(context, target),
      );
    });
  listing(snapshot.command('list [volume]'))
    .description('list snapshots, oldest first')
    .action(function (this: Command, volume?: string) {
      return run(this, async (context) =>
        (await import('./commands/snapshot.js')).listSnapshots(context, volume),
      );
    });
  withCare(snapshot.command('delete <snapshot>'))
    .description('delete a snapshot')
    .action(function (this: Command, reference: string) {
      return run(this, async (context) =>
        (await import('./commands/snapshot.js')).deleteSnapshot(context, reference),
      );
    });
}

function addBranch(program: Command, run: RunCommand): void {
  const branch = program.command('branch').description('writable branches of snapshots');
  branch
    .command('create <name>')
    .description('make a branch of a snapshot; it costs nothing until it is written')
    .option('--from <snapshot>', 'its base: prod@monday, prod@latest, prod@2h (required)')
    .action(function (this: Command, name: string) {
      return run(this, async (context) =>
        (await import('./commands/branch.js')).createBranch(context, name),
      );
    });
  listing(branch.command('list [volume]'))
    .description('list branches')
    .action(function (this: Command, volume?: string) {
      return run(this, async (context) =>
        (await import('./commands/branch.js')).listBranches(context, volume),
      );
    });
  withCare(branch.command('delete <branch>'))
    .description('delete a branch and what was written to it')
    .action(function (this: Command, reference: string) {
      return run(this, async (context) =>
        (await import('./commands/branch.js')).deleteBranch(context, reference),
      );
    });
}

/** Options of what removes. */
function withCare(command: Command): Command {
  return command
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'tell what would go, and remove nothing');
}

/** Options of what lists. */
function listing(command: Command): Command {
  return command.option('-q, --quiet', 'references only, one a line');
}
