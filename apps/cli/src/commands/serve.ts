/** pal serve, demo: a daemon in the foreground, until it is asked to stop. */
import path from 'node:path';
import type { RunningServer, ServeOptions } from '@palimpsest/server';
import { type CommandContext, textOption, UsageError, warnings } from '../command-context.js';
import { shellWord, shortPath, storeOption, tcpUri, unixUri } from '../shell.js';
import { makeStore } from './store.js';

/** The port that IANA keeps for NBD. */
const NBD_PORT = 10_809;
/** Bytes of the demo's volume: a small disk; sparse, so it costs nothing. */
const DEMO_SIZE = 64 << 20;
const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** pal serve [--socket PATH] [--tcp [HOST:]PORT] */
export async function serve(context: CommandContext): Promise<void> {
  const { options, terminal } = context;
  const asked = stopAsked(context);
  const { createLogger, serveStore } = await import('@palimpsest/server');
  const level = textOption(options, 'logLevel') ?? 'info';
  const socket = textOption(options, 'socket');
  const tcp = textOption(options, 'tcp');
  const server = await serveStore({
    dir: context.directory,
    nbd: {
      ...(socket === undefined ? {} : { socketPath: path.resolve(terminal.cwd, socket) }),
      ...(tcp === undefined ? {} : { tcp: listenAddress(tcp) }),
    },
    logger: createLogger({
      level: LOG_LEVELS.find((each) => each === level) ?? 'info',
      format: context.json ? 'json' : 'plain',
      write: (line) => terminal.err(line),
    }),
  });
  const uris = serverUris(server);
  context.output.item('Service', { ...server.addresses, uris, pid: process.pid }, uris.join('\n'));
  for (const { kind, target } of server.resumed) {
    context.output.say(`going on with the ${kind} of ${target}; see how far: pal jobs`);
  }
  context.output.say('serving; Ctrl-C stops');
  await asked;
  await server.close();
  context.output.say('stopped');
}

/** pal demo: what `npm start` runs. */
export async function demo(context: CommandContext): Promise<void> {
  const { terminal, directory, output } = context;
  const asked = stopAsked(context);
  const { createLogger, serveStore } = await import('@palimpsest/server');
  await ensureStore(context);
  const options: ServeOptions = {
    dir: directory,
    nbd: { tcp: { port: NBD_PORT, tryNext: true } },
    logger: createLogger({ level: 'warn', write: (line) => terminal.err(line) }),
  };
  const server = await serveStore(options);
  try {
    const volume = await ensureVolume(server);
    output.say(`Serving the store ${directory}. Ctrl-C stops. Try, in another terminal:\n`);
    terminal.out(
      demoLines(context, server, volume)
        .map((line) => `${line}\n`)
        .join(''),
    );
    await asked;
  } finally {
    await server.close();
  }
  output.say('stopped');
}

/** Three lines that work as they are pasted. */
function demoLines(context: CommandContext, server: RunningServer, volume: string): string[] {
  const { terminal, directory } = context;
  const { nbdSocket, nbdTcp } = server.addresses;
  const everything = unixUri(nbdSocket);
  const one = nbdTcp === undefined ? unixUri(nbdSocket, volume) : tcpUri(nbdTcp, volume);
  const program = shellWord(shortPath(terminal.cwd, terminal.program));
  const store = storeOption(terminal, directory);
  return [
    `nbdinfo --list ${shellWord(everything)}`,
    `qemu-img info ${shellWord(one)}`,
    `node ${program} snapshot create ${volume} -m "first"${store}`,
  ];
}

async function ensureStore(context: CommandContext): Promise<void> {
  const { createNodeEnvironment } = await import('@palimpsest/server/environment');
  const { files } = createNodeEnvironment(warnings(context));
  if ((await files.status(path.join(context.directory, 'save.pal'))) !== undefined) return;
  await makeStore(context, context.directory);
  context.output.say(`Made a store in ${context.directory}.`);
}

/** The volume to try things on: "prod", made when the store has no volumes. */
async function ensureVolume({ store }: RunningServer): Promise<string> {
  const volumes = store.listVolumes();
  const usable = volumes.filter((volume) => volume.state === 'available');
  const volume = usable.find((each) => each.name === 'prod') ?? usable[0];
  if (volume !== undefined) return volume.name;
  const name = volumes.some((each) => each.name === 'prod') ? 'demo' : 'prod';
  return (await store.createVolume({ name, size: DEMO_SIZE })).name;
}

function serverUris({ addresses }: RunningServer): string[] {
  const { nbdSocket, nbdTcp } = addresses;
  return [unixUri(nbdSocket), ...(nbdTcp === undefined ? [] : [tcpUri(nbdTcp, '')])];
}

/** "10809", "127.0.0.1:10809" or "[::1]:10809". */
function listenAddress(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:(?:\[([0-9a-f:]+)\]|([^:[\]]+)):)?([0-9]{1,5})$/i.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  if (!(port >= 0 && port <= 65_535)) {
    throw new UsageError(`--tcp takes PORT or HOST:PORT, such as ${NBD_PORT}; 0 is any port`);
  }
  return { host: match?.[1] ?? match?.[2] ?? '127.0.0.1', port };
}

/**
 * Resolves when the process is asked to stop. Called before anything is opened: a daemon that is
 * still starting then starts, and stops in order.
 */
function stopAsked({ terminal, output }: CommandContext): Promise<void> {
  return new Promise((resolve) => {
    terminal.onStop(() => {
      output.say('\nstopping; Ctrl-C again stops at once, and loses what is not yet durable');
      resolve();
    });
  });
}
