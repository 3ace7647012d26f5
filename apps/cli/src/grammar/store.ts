/** The grammar of the store: making, serving, looking. */
import { Option } from 'commander';
import { type AddNoun, does } from './words.js';

const load = () => import('../commands/store.js');
const loadServe = () => import('../commands/serve.js');

/** pal init, serve, status, stats, demo, store check. */
export const addStore: AddNoun = (program, run) => {
  does(
    program
      .command('init [dir]')
      .description('make an empty store')
      .option('--block-size <bytes>', 'bytes in a block: the unit that is saved (default: 4096)'),
    run,
    async (context, dir?: string) => (await load()).initStore(context, dir),
  );
  does(
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
      ),
    run,
    async (context) => (await loadServe()).serve(context),
  );
  does(
    program.command('status').description('show the store, its space, and who uses it'),
    run,
    async (context) => (await load()).showStatus(context),
  );
  does(
    program
      .command('stats')
      .description('show what was read and written since the store was opened, and what that took')
      .option('--prometheus', 'in the text format of Prometheus'),
    run,
    async (context) => (await import('../commands/stats.js')).showStats(context),
  );
  does(
    program
      .command('demo')
      .description('make or open a store with a volume, serve it, and say what to try'),
    run,
    async (context) => (await loadServe()).demo(context),
  );
  does(
    program
      .command('store')
      .description('the store itself')
      .command('check [dir]')
      .description('look at a store that will not open, part by part; nothing is written'),
    run,
    async (context, dir?: string) =>
      (await import('../commands/check.js')).checkStore(context, dir),
  );
};
