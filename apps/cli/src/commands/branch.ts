/** pal branch create, list, delete. */
import type { BranchInfo } from '@palimpsest/control';
import { formatSize } from '@palimpsest/control/grammar';
import { type CommandContext, requiredOption, withStore } from '../command-context.js';
import { type Column, formatTime } from '../output.js';
import { removeWithCare } from '../remove.js';

const COLUMNS: readonly Column<BranchInfo>[] = [
  { title: 'BRANCH', value: (branch) => branch.reference },
  { title: 'BASE', value: (branch) => branch.base },
  { title: 'CREATED', value: (branch) => formatTime(branch.createdAt) },
  { title: 'SIZE', value: (branch) => formatSize(branch.size) },
  { title: 'STATE', value: (branch) => branch.state },
];

/** pal branch create NAME --from REFERENCE */
export async function createBranch(context: CommandContext, name: string): Promise<void> {
  const from = requiredOption(context.options, 'from', '--from prod@latest');
  const branch = await withStore(context, (client) => client.createBranch({ name, from }));
  context.output.item('Branch', branch, branch.reference);
  context.output.say(`made a branch of ${branch.base}; clients open it as ${branch.reference}`);
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
  await withStore(context, async (client) => {
    const removal = await removeWithCare(context, (how) => client.deleteBranch(reference, how));
    if (removal !== undefined) {
      context.output.item('Removal', removal, removal.removed.join('\n'));
    }
  });
}
