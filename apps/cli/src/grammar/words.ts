/** What the nouns of the grammar share: how a command is tied to its work, and options of many. */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.js';

/** Runs a command with what was typed. */
export type RunCommand = (
  command: Command,
  work: (context: CommandContext) => Promise<void>,
) => Promise<void>;

/** Adds a noun's commands to the program. */
export type AddNoun = (program: Command, run: RunCommand) => void;

/** Ties a command to its work, which is given the arguments that were typed. */
export function does<A extends readonly unknown[]>(
  command: Command,
  run: RunCommand,
  work: (context: CommandContext, ...args: A) => Promise<void>,
): Command {
  return command.action(function (this: Command, ...typed: unknown[]) {
    const args = typed.slice(0, this.registeredArguments.length) as unknown as A;
    return run(this, (context) => work(context, ...args));
  });
}

/** Options of what removes. */
export function withCare(command: Command): Command {
  return command
    .option('-y, --yes', 'do not ask')
    .option('--dry-run', 'tell what would happen, and do nothing');
}

/** Options of what deletes and can be undone. */
export function deleting(command: Command): Command {
  return withCare(command)
    .option('--now', 'for good, its space at once: it cannot be had back with undo')
    .option('--hide', 'if something depends on it: hide it until the last of that goes')
    .option('--force', 'end the sessions of clients that have it open');
}

/** Options of what replaces a content. */
export function replacing(command: Command): Command {
  return withCare(command).option(
    '--force',
    'end the sessions of clients that have it open; they can come back to the same name',
  );
}

/** Options of what lists. */
export function listing(command: Command): Command {
  return command.option('-q, --quiet', 'references only, one a line');
}

/** An option that may be said more than once. */
export function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Options of what makes something with a message. */
export function described(command: Command): Command {
  return command
    .option('-m, --message <text>', 'what it is for')
    .option('--label <name=value>', 'a word of your own; can be said more than once', collected);
}
