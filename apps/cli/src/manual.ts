/** The manual page of the command line, made from its grammar; docs/CLI.md is what it says. */
import type { Command } from 'commander';
import { EXIT_CODES } from './exit-codes.js';
import { createProgram } from './program.js';
import { everyCommand } from './run-cli.js';

/** The whole page, in Markdown. */
export function manual(): string {
  const program = createProgram(async () => {});
  const commands = everyCommand(program).filter(
    (each) => each.commands.length === 0 || each.registeredArguments.length > 0,
  );
  return [
    '# The command line',
    '',
    '`palimpsest`, short `pal`: noun, verb, arguments. This page is made from the program itself.',
    '',
    '```',
    'pal init                                        make an empty store in ./palimpsest-store',
    'pal volume adopt disk.img                       take a raw image as it is, where it is',
    'pal snapshot create disk@monday -m "before 42"  O(1), whatever the size',
    'pal branch create dev --from disk@latest        a writable copy that costs nothing',
    'pal serve --tcp 10809                           volume, snapshot and branch as NBD exports',
    'pal volume release disk --drop-snapshots        the raw file again, plain and complete',
    '```',
    '',
    'The same commands work whether `pal serve` runs (they go through its control socket) or not',
    '(they open the store themselves, under its lock). A store that is open elsewhere for a moment',
    'is waited for, up to two seconds.',
    '',
    '## Rules',
    '',
    '- stdout is data, stderr is words. With `--json`, stdout is one document',
    '  (`{"schema":"palimpsest/1","kind":...}`; sizes in bytes, times in RFC 3339), and stderr has',
    '  progress and errors as JSON, one a line.',
    '- What destroys asks first. Where nobody can answer it needs `--yes`; `--dry-run` only tells.',
    '- Sizes: bytes, or K, M, G, T, P in powers of 1024. Ages: s, m, h, d, w.',
    '- Names: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, but not `latest` and not an age such as `2h`.',
    '',
    '## References',
    '',
    '| Reference | What it means |',
    '| --- | --- |',
    '| `prod` | the production volume |',
    '| `prod@monday` | its snapshot of that name |',
    '| `prod@latest` | its youngest snapshot |',
    '| `prod@2h` | its youngest snapshot that is at least two hours old |',
    '| `prod/dev` | its branch of that name |',
    '| `prod/dev@monday` | a snapshot of the branch; `@latest` and ages as above |',
    '',
    'They are the names of the NBD exports too: `nbd://127.0.0.1:10809/prod@monday`.',
    '',
    'A path on any of them is written as scp has it, `prod@monday:/etc`; see `pal fs`. A file of this',
    'machine whose name has a colon is `./a:b`.',
    '',
    '## Exit codes',
    '',
    '| Code | Meaning |',
    '| --- | --- |',
    ...Object.values(EXIT_CODES).map(({ code, meaning }) => `| ${code} | ${meaning} |`),
    '',
    '## Options of every command',
    '',
    ...optionTable(program),
    '',
    '## Commands',
    '',
    ...commands.flatMap(section),
  ].join('\n');
}

function section(command: Command): string[] {
  const names: string[] = [];
  for (let each: Command | null = command; each?.parent; each = each.parent) {
    names.unshift(each.name());
  }
  const usage = command.usage().replace(/^\[options\] ?/, '');
  return [
    `### pal ${names.join(' ')}`,
    '',
    sentence(command.description()),
    '',
    '```',
    `pal ${[...names, usage].join(' ').trim()}`,
    '```',
    '',
    ...(command.options.length > 0 ? [...optionTable(command), ''] : []),
  ];
}

function optionTable(command: Command): string[] {
  return [
    '| Option | What it does |',
    '| --- | --- |',
    ...command.options.map(
      (option) => `| \`${option.flags}\` | ${option.description.replaceAll('|', '\\|')} |`,
    ),
  ];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
