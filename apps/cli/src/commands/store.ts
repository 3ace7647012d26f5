/** pal init, status. */
import path from 'node:path';
import { formatSize, parseSize } from '@palimpsest/control/grammar';
import type { ServiceStatus } from '@palimpsest/server';
import { type CommandContext, textOption, warnings, withStore } from '../command-context.js';
import { storeOption } from '../shell.js';

/** pal init [DIR] */
export async function initStore(context: CommandContext, given?: string): Promise<void> {
  const { terminal } = context;
  const directory = given === undefined ? context.directory : path.resolve(terminal.cwd, given);
  const blockSize = textOption(context.options, 'blockSize');
  await makeStore(context, directory, blockSize === undefined ? undefined : parseSize(blockSize));
  context.output.item('Store', { directory }, directory);
  const store = storeOption(terminal, directory);
  context.output.say(
    `made an empty store; next: pal volume create prod --size 64M${store}, or ` +
      `pal volume adopt disk.img${store}`,
  );
}

/** Makes an empty store with its token. */
export async function makeStore(
  context: CommandContext,
  directory: string,
  blockSize?: number,
): Promise<void> {
  const { createStore } = await import('@palimpsest/control');
  const { createNodeEnvironment, ensureToken } = await import('@palimpsest/server/environment');
  const options = blockSize === undefined ? {} : { blockSize };
  await createStore(directory, options, createNodeEnvironment(warnings(context)));
  await ensureToken(directory);
}

/** pal status */
export async function showStatus(context: CommandContext): Promise<void> {
  await withStore(context, async (client) => {
    const status = await client.status();
    const exports = await client.listExports();
    const clients = await client.listClients();
    context.output.item('Status', { ...status, exports, clients }, describe(status));
    for (const { name, state, reason } of exports) {
      if (state === 'unavailable') context.output.say(`${name} is unavailable: ${reason}`);
    }
    for (const { peer, exportName, bytesRead, bytesWritten } of clients) {
      context.output.say(
        `${peer} has ${exportName} open: read ${formatSize(bytesRead)}, ` +
          `wrote ${formatSize(bytesWritten)}`,
      );
    }
  });
}

function describe(status: ServiceStatus): string {
  const { space, service } = status;
  const rows: readonly [string, string][] = [
    ['store', `${status.directory} (${status.storeId})`],
    ['volumes', String(status.volumes)],
    ['snapshots', String(status.snapshots)],
    ['branches', String(status.branches)],
    ['save volume', `${formatSize(space.usedBytes)} used of ${formatSize(space.totalBytes)}`],
    ['not yet durable', formatSize(space.dirtyBytes)],
    ['served', service === undefined ? 'no; serve it: pal serve' : `by process ${service.pid}`],
  ];
  const addresses: readonly [string, string][] =
    service === undefined
      ? []
      : [
          ['nbd socket', service.nbdSocket],
          ...(service.nbdTcp === undefined
            ? []
            : [['nbd tcp', `${service.nbdTcp.host}:${service.nbdTcp.port}`] as [string, string]]),
          ['clients', String(service.clients)],
        ];
  return [...rows, ...addresses].map(([name, value]) => `${name.padEnd(16)}${value}`).join('\n');
}
