/** pal store check: what is left of a store that will not open. */
import path from 'node:path';
import type { CommandContext } from '../command-context.js';

/** pal store check [DIR] */
export async function checkStore(context: CommandContext, given?: string): Promise<void> {
  const { output, terminal } = context;
  const directory = given === undefined ? context.directory : path.resolve(terminal.cwd, given);
  const { checkStore: check } = await import('@palimpsest/server/environment');
  const report = await check(directory);
  const lines = report.parts.map(
    ({ part, sound, found }) => `${sound ? 'ok ' : 'BAD'}  ${part.padEnd(16)}${found}`,
  );
  output.item('Check', report, lines.join('\n'));
  for (const advice of report.advice) output.say(advice);
  const problems = report.audit?.problems ?? [];
  for (const problem of problems) output.say(problem);
  if (report.opens && problems.length === 0 && report.parts.every(({ sound }) => sound)) return;
  const words = report.opens ? 'it opens, but parts of it are damaged' : 'it does not open';
  throw Object.assign(new Error(`${directory}: ${words}`), { code: 'ERR_CORRUPT' });
}
