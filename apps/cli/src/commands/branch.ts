/** pal branch create, list, delete, refresh, flatten, quota. */
import type { BranchInfo } from '@palimpsest/control';
import { formatSize, parseSize } from '@palimpsest/control/grammar';
import {
  type CommandContext,
  given,
  labelsOption,
  requiredOption,
  sizeOption,
  withStore,
} from '../command-context.js';
import { follow } from '../follow.js';
import { type Column, formatTime } from '../output.js';
import { removeWithCare } from '../remove.js';
import { mayReplace } from './replace.js';

const COLUMNS: readonly Column<BranchInfo>[] = [
  { title: 'BRANCH', value: (branch) => branch.reference },
  { title: 'BASE', value: (branch) => (branch.base === '' ? '-' : branch.base) },
  { title: 'CREATED', value: (branch) => formatTime(branch.createdAt) },
  { title: 'SIZE', value: (branch) => formatSize(branch.size) },
  { title: 'SNAPSHOTS', value: (branch) => String(branch.snapshots) },
  {
    title: 'QUOTA',
    value: ({ quotaBytes }) => (quotaBytes === undefined ? '-' : formatSize(quotaBytes)),
  },
  { title: 'STATE', value: (branch) => branch.state },
];

/** pal branch create NAME --from REFERENCE */
export async function createBranch(context: CommandContext, name: string): Promise<void> {
  const { options, output } = context;
  const from = requiredOption(options, 'from', '--from prod@latest');
  const more = given({ labels: labelsOption(options), quotaBytes: sizeOption(options, 'quota') });
  const branch = await withStore(context, (client) => client.createBranch({ name, from, ...more }));
  output.item('Branch', branch, branch.reference);
  output.say(`made a branch of ${branch.base}; clients open it as ${branch.reference}`);
}

/** pal branch list [VOLUME] */
export async function listBranches(context: CommandContext, volume?: string): Promise<void> {
  const branches = await withStore(context, (client) => client.listBranches(volume));
  const quiet = context.options.quiet === true;
  context.output.list('BranchList', branches, COLUMNS, { quiet });
  if (branches.length === 0) {
    const from = `${volume ?? 'VOLUME'}@latest`;
    context.output.say(`no branches yet; make one: pal branch create NAME --from ${from}`);
  }
}

/** pal branch delete REFERENCE */
export async function deleteBranch(context: CommandContext, reference: string): Promise<void> {
  const recursive = context.options.recursive === true;
  await withStore(context, (client) =>
    removeWithCare(context, (how) => client.deleteBranch(reference, { ...how, recursive }), {
      undoable: true,
    }),
  );
}

/** pal branch refresh BRANCH --from REFERENCE */
export async function refreshBranch(context: CommandContext, branch: string): Promise<void> {
  const { options, output } = context;
  const from = requiredOption(options, 'from', '--from prod@latest');
  const keep = options.drop !== true;
  await withStore(context, async (client) => {
    if (!(await mayReplace(context, client, { target: branch, from, keeps: keep }))) return;
    const force = options.force === true;
    const done = await client.refreshBranch({ branch, from, keep, force });
    output.item('Refresh', done, done.branch.reference);
    output.say(`${done.branch.reference} is now ${done.branch.base}`);
    if (done.kept !== undefined) output.say(`what it was is ${done.kept}; back to it: pal undo`);
  });
}

/** pal branch flatten BRANCH [--rate SIZE] [--wait | --pause] */
export async function flattenBranch(context: CommandContext, reference: string): Promise<void> {
  const { options, output } = context;
  const rate = given({ bytesPerSecond: sizeOption(options, 'rate') });
  await withStore(context, async (client) => {
    if (options.pause === true) {
      const paused = await client.pauseFlatten(reference);
      output.item('Job', paused, String(paused.id));
      output.say(`paused; go on: pal branch flatten ${paused.target}`);
      return;
    }
    const job = await client.flattenBranch(reference, rate);
    const ended = await follow(context, client, job);
    output.item('Job', ended ?? job, String(job.id));
  });
}

/** pal branch quota BRANCH SIZE|none */
export async function setQuota(
  context: CommandContext,
  reference: string,
  size: string,
): Promise<void> {
  const bytes = size === 'none' ? null : parseSize(size);
  const branch = await withStore(context, (client) => client.setQuota(reference, bytes));
  context.output.item('Branch', branch, branch.reference);
  context.output.say(
    bytes === null
      ? `${branch.reference} may grow without a limit of its own`
      : `${branch.reference} may have ${formatSize(bytes)} of its own`,
  );
}
