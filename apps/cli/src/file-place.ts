/**
 * Places: what people write where files are meant. `prod@monday:/etc` is a path on a snapshot, as scp has
 * it; what has no reference before a colon is a path here, and `-` stands for stdin or stdout.
 *
 *   FP1  `./a:b` is a file here, as no reference begins with a dot or a slash.
 */
import type { FilePlace } from '@palimpsest/mounted-files';
import { type CommandContext, textOption, UsageError } from './command-context.js';

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]*';
const PLACE = new RegExp(`^(${NAME}(?:/${NAME})?(?:@${NAME})?):(.*)$`, 's');
const REFERENCE = new RegExp(`^${NAME}(?:/${NAME})?(?:@${NAME})?$`);

/** The path on a volume, snapshot or branch that is meant; undefined for one here (FP1). */
export function placeIn(context: CommandContext, text: string): FilePlace | undefined {
  const [, reference, path] = PLACE.exec(text) ?? [];
  if (reference === undefined || path === undefined) return undefined;
  return { reference, path: path === '' ? '/' : path, ...partitionOf(context) };
}

/** The same where only a store's files can be meant; a reference alone is its root. */
export function placeOf(context: CommandContext, text: string): FilePlace {
  const place = placeIn(context, text);
  if (place !== undefined) return place;
  if (REFERENCE.test(text)) return { reference: text, path: '/', ...partitionOf(context) };
  throw new UsageError(
    `"${text}" is no path on a volume, snapshot or branch; write VOLUME:PATH, such as ` +
      'prod@monday:/etc',
  );
}

/** What --partition says. */
export function partitionOf({ options }: CommandContext): { readonly partition?: number } {
  const said = textOption(options, 'partition');
  if (said === undefined) return {};
  if (/^[1-9][0-9]{0,2}$/.test(said)) return { partition: Number(said) };
  throw new UsageError(`--partition takes a number from 1, not "${said}"`);
}

/** The last name of a path; what a copy is called. */
export function lastName(path: string): string {
  return path.split('/').findLast((name) => name !== '' && name !== '.') ?? '';
}
