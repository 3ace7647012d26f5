/** pal restore, restore status, pause, resume, cancel; pal promote. */
import type { JobInfo, RestoreInfo } from '@palimpsest/control';
import { formatSize, parseBranchReference } from '@palimpsest/control/grammar';
import type { StoreClient } from '@palimpsest/server/client';
import {
  type CommandContext,
  given,
  requiredOption,
  sizeOption,
  UsageError,
  withStore,
} from '../command-context.js';
import { follow } from '../follow.js';
import { type Column, formatTime } from '../output.js';
import { mayReplace } from './replace.js';

const COLUMNS: readonly Column<RestoreInfo>[] = [
  { title: 'TARGET', value: (each) => each.target },
  { title: 'FROM', value: (each) => each.from },
  { title: 'STATE', value: (each) => each.state },
  {
    title: 'COPIED BACK',
    value: ({ doneBytes, totalBytes }) => `${formatSize(doneBytes)} of ${formatSize(totalBytes)}`,
  },
  { title: 'STARTED', value: ({ startedAt }) => formatTime(startedAt) },
  { title: 'BEFORE', value: ({ undo = '-' }) => undo },
];

/** pal restore TARGET --from REFERENCE */
export async function restore(context: CommandContext, target?: string): Promise<void> {
  if (target === undefined) {
    throw new UsageError('say what to restore: pal restore prod --from prod@latest');
  }
  await replace(context, target, requiredOption(context.options, 'from', '--from prod@latest'));
}

/** pal promote BRANCH */
export async function promote(context: CommandContext, branch: string): Promise<void> {
  await replace(context, parseBranchReference(branch).volume, branch);
}

async function replace(context: CommandContext, target: string, from: string): Promise<void> {
  const { options, output } = context;
  const rate = given({ bytesPerSecond: sizeOption(options, 'rate') });
  await withStore(context, async (client) => {
    if (!(await mayReplace(context, client, { target, from, keeps: true }))) return;
    const force = options.force === true;
    const started = await client.restore({ target, from, force, ...rate });
    output.say(`${started.target} is now ${started.from}`);
    if (started.undo !== undefined) {
      output.say(`what it was is ${started.undo}; back to it: pal undo`);
    }
    await followed(context, client, started);
  });
}

/** pal restore status [TARGET] */
export async function showRestores(context: CommandContext, target?: string): Promise<void> {
  const all = await withStore(context, (client) => client.restores());
  const meant = all.filter((each) => target === undefined || each.target === target);
  context.output.list('RestoreList', meant, COLUMNS);
  if (meant.length === 0) context.output.say('no restore is being copied back');
}

/** pal restore pause TARGET */
export async function pauseRestore(context: CommandContext, target: string): Promise<void> {
  const paused = await withStore(context, (client) => client.pauseRestore(target));
  context.output.item('Restore', paused, paused.target);
  context.output.say(`paused; it reads as ${paused.from}; go on: pal restore resume ${target}`);
}

/** pal restore resume TARGET [--rate SIZE] [--wait] */
export async function resumeRestore(context: CommandContext, target: string): Promise<void> {
  const rate = given({ bytesPerSecond: sizeOption(context.options, 'rate') });
  await withStore(context, async (client) =>
    followed(context, client, await client.resumeRestore(target, rate)),
  );
}

/** pal restore cancel TARGET */
export async function cancelRestore(context: CommandContext, target: string): Promise<void> {
  const { options, output } = context;
  await withStore(context, async (client) => {
    const running = (await client.restores()).find((each) => each.target === target);
    if (running?.undo !== undefined) {
      const asked = { target, from: running.undo, keeps: true };
      if (!(await mayReplace(context, client, asked))) return;
    }
    const back = await client.cancelRestore(target, { force: options.force === true });
    output.say(`${back.target} is what it was before: ${back.from}`);
    if (back.undo !== undefined) output.say(`what it was meanwhile is ${back.undo}`);
    await followed(context, client, back);
  });
}

/** Follows the job that copies back, if there is one, and tells the restore as data. */
async function followed(
  context: CommandContext,
  client: StoreClient,
  restoring: RestoreInfo,
): Promise<void> {
  const job = await jobOf(client, restoring);
  const ended = job === undefined ? undefined : await follow(context, client, job);
  const state = ended?.state ?? restoring.state;
  context.output.item('Restore', { ...restoring, state }, restoring.target);
}

async function jobOf(client: StoreClient, { job }: RestoreInfo): Promise<JobInfo | undefined> {
  if (job === undefined) return undefined;
  return (await client.jobs()).find((each) => each.id === job);
}
