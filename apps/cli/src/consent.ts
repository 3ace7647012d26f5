/** Consent: a question before what destroys or ends something. Where nobody can answer: --yes. */
import { type CommandContext, UsageError } from './command-context.js';

/** Whether it may be done. `what` completes "this would ...". */
export async function consent(
  context: CommandContext,
  what: string,
  question: string,
): Promise<boolean> {
  if (context.options.yes === true) return true;
  if (!context.terminal.interactive) {
    throw new UsageError(
      `this would ${what}, and nobody can be asked; say --yes to do it, or --dry-run to see ` +
        'what would happen',
    );
  }
  const answer = await context.terminal.ask(`${question} [y/N] `);
  if (/^y(es)?$/i.test(answer.trim())) return true;
  context.output.say('nothing was done');
  return false;
}
