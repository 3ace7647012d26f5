/**
 * Removing: first a plan, which finds every reason against it; then a question, unless --yes was
 * said; then the work. Where nobody can answer, nothing is removed without --yes.
 */
import type { OnProgress, Removal } from '@palimpsest/control';
import { type CommandContext, UsageError } from './command-context.js';

/** How to remove, once for the plan and once for real. */
export type Remove = (how: {
  readonly dryRun: boolean;
  readonly onProgress: OnProgress;
}) => Promise<Removal>;

/** Removes, or with --dry-run tells what would go. `destroys` says whether data is lost. */
export async function removeWithCare(
  context: CommandContext,
  remove: Remove,
  destroys: (plan: Removal) => boolean = () => true,
): Promise<Removal | undefined> {
  const plan = await remove({ dryRun: true, onProgress: () => {} });
  if (context.options.dryRun === true) {
    context.output.say('nothing was done; this would go:');
    return plan;
  }
  if (destroys(plan) && !(await allowed(context, plan))) return undefined;
  const progress = context.output.progress();
  try {
    return await remove({ dryRun: false, onProgress: progress.on });
  } finally {
    progress.end();
  }
}

async function allowed(context: CommandContext, plan: Removal): Promise<boolean> {
  if (context.options.yes === true) return true;
  const what = plan.removed.join(', ');
  if (!context.terminal.interactive) {
    throw new UsageError(
      `this would remove ${what} for good, and nobody can be asked; say --yes to do it, or ` +
        '--dry-run to see what would go',
    );
  }
  const answer = await context.terminal.ask(`Remove ${what} for good? [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return true;
  context.output.say('nothing was removed');
  return false;
}
