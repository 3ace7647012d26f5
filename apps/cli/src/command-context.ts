/** What every command is given, and how it reaches its store. */
import { parseAge, parseSize } from '@palimpsest/control/grammar';
import type { StoreClient } from '@palimpsest/server/client';
import type { Output } from './output.js';
import type { Terminal } from './terminal.js';

/** The options of a command as they were typed; commander has checked their form. */
export type Options = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

/** What a command runs with. */
export interface CommandContext {
  readonly terminal: Terminal;
  readonly output: Output;
  /** The store's directory, absolute. */
  readonly directory: string;
  readonly json: boolean;
  readonly options: Options;
}

/** A command line that cannot be carried out as it stands. */
export class UsageError extends Error {
  readonly code = 'ERR_INVALID';

  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Something was looked through, and is damaged. */
export class CheckFailure extends Error {
  readonly code = 'ERR_CORRUPT';

  constructor(message: string) {
    super(message);
    this.name = 'CheckFailure';
  }
}

/** Does something with the store, through its daemon when one runs. */
export async function withStore<T>(
  context: CommandContext,
  use: (client: StoreClient) => Promise<T>,
): Promise<T> {
  const { connectStore, who } = await import('@palimpsest/server/client');
  const client = await connectStore(context.directory, warnings(context), { by: who('cli') });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

/** A store's warnings as a command's words: a volume that cannot be opened should not be silent. */
export function warnings(context: CommandContext): {
  debug(): void;
  info(): void;
  warn(message: string): void;
  error(message: string): void;
} {
  const say = (message: string): void => context.output.say(`pal: ${message}`);
  return { debug() {}, info() {}, warn: say, error: say };
}

/** The text of an option that may be left out. */
export function textOption(options: Options, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

/**
 * The text of an option that must be given. It is asked for here and not by the grammar, which
 * would miss it before it looks whether it was only misspelt.
 */
export function requiredOption(options: Options, name: string, example: string): string {
  const value = textOption(options, name);
  if (value !== undefined) return value;
  throw new UsageError(`--${name} is missing; say, for example: ${example}`);
}

/** The bytes of an option that may be left out. @throws {StorageError} ERR_INVALID. */
export function sizeOption(options: Options, name: string): number | undefined {
  const text = textOption(options, name);
  return text === undefined ? undefined : parseSize(text);
}

/** The milliseconds of an age such as 2h. */
export function ageIn(text: string, option: string): number {
  const ms = parseAge(text);
  if (ms !== undefined) return ms;
  throw new UsageError(`--${option} takes an age, not "${text}"; say, for example: --${option} 2h`);
}

/** Labels, as they were said. */
export function labelsOption(options: Options): Readonly<Record<string, string>> | undefined {
  const said = options.label;
  if (!Array.isArray(said)) return undefined;
  const pairs = said.map((each: string) => {
    const at = each.indexOf('=');
    if (at > 0) return [each.slice(0, at), each.slice(at + 1)] as const;
    throw new UsageError(`--label takes NAME=VALUE, not "${each}"; for example: --label ticket=42`);
  });
  return Object.fromEntries(pairs);
}

/** An object with what is defined only, for options that may be left out. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
