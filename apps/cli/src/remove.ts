/**
 * Removing: first a plan, which finds every reason against it; then a question, unless --yes was
 * said; then the work. Where nobody can answer, nothing is removed without --yes.
 */
import type { OnProgress, Removal } from '@palimpsest/control';
import type { CommandContext } from './command-context.js';
import { consent } from './consent.js';
import { formatTime } from './output.js';

/** How to remove, once for the plan and once for real. */
export type Remove = (how: {
  readonly dryRun: boolean;
  readonly now: boolean;
  readonly hide: boolean;
  readonly force: boolean;
  readonly onProgress: OnProgress;
}) => Promise<Removal>;

/** What a command says of its removal. */
export interface RemovalWords {
  /** Whether data is lost or hard to get at; then it is asked for. */
  readonly destroys?: (plan: Removal) => boolean;
  /** True when `pal undo` can bring it back within the store's grace period. */
  readonly undoable?: boolean;
}

/** Removes, or with --dry-run tells what would go, and says what happened. */
export async function removeWithCare(
  context: CommandContext,
  remove: Remove,
  { destroys = () => true, undoable = false }: RemovalWords = {},
): Promise<Removal | undefined> {
  const { options, output } = context;
  const how = {
    now: options.now === true,
    hide: options.hide === true,
    force: options.force === true,
  };
  const plan = await remove({ ...how, dryRun: true, onProgress: () => {} });
  if (options.dryRun === true) {
    output.say('nothing was done; this would go:');
    tell(context, plan);
    return plan;
  }
  const what = plan.removed.join(', ');
  const manner = undoable && !how.now ? '' : ' for good';
  if (
    destroys(plan) &&
    !(await consent(context, `remove ${what}${manner}`, `Remove ${what}${manner}?`))
  ) {
    return undefined;
  }
  const progress = output.progress();
  try {
    const removal = await remove({ ...how, dryRun: false, onProgress: progress.on });
    progress.end();
    tell(context, removal);
    return removal;
  } finally {
    progress.end();
  }
}

function tell({ output }: CommandContext, removal: Removal): void {
  output.item('Removal', removal, removal.removed.join('\n'));
  if (removal.dryRun) return;
  const { recoverableUntil, hiddenBehind } = removal;
  if (hiddenBehind !== undefined) {
    output.say(`it is hidden, and goes when these have gone: ${hiddenBehind.join(', ')}`);
  }
  if (recoverableUntil !== undefined) {
    output.say(
      `it can be had back until ${formatTime(recoverableUntil)}, or until its space is needed: ` +
        'pal undo',
    );
  }
}
