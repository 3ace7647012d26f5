/**
 * Runs the file system tests of ZenFS (LGPL: used as they are, from its npm package, never copied into
 * ours) on our API, and on ZenFS's own, memfs's and Node's, and writes docs/TOYFS-SUITES.md.
 *
 *   npx tsx --conditions=@palimpsest/source packages/toyfs/suites/zenfs/run.mts
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { reasonFor } from './reasons.mjs';

interface Result {
  readonly file: string;
  readonly name: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly reason: string;
}

const here = dirname(fileURLToPath(import.meta.url));
const original = dirname(dirname(fileURLToPath(import.meta.resolve('@zenfs/core'))));

/** A copy of the package to run in, with what it depends on beside it: its tests write next to themselves. */
function copyPackage(): string {
  const modules = join(mkdtempSync(join(tmpdir(), 'zenfs-')), 'node_modules');
  const beside = dirname(dirname(original));
  mkdirSync(join(modules, '@zenfs'), { recursive: true });
  cpSync(original, join(modules, '@zenfs/core'), { recursive: true });
  const link = (name: string): void => {
    if (name === '@zenfs/core') return;
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(beside, name), join(modules, name));
  };
  for (const name of readdirSync(beside)) {
    if (name.startsWith('@'))
      for (const inner of readdirSync(join(beside, name))) link(`${name}/${inner}`);
    else link(name);
  }
  return join(modules, '@zenfs/core');
}

const copy = copyPackage();
const tests = join(copy, 'tests');
const SYSTEMS: Record<string, string> = {
  toyfs: join(here, 'setup-ours.ts'),
  ZenFS: join(tests, 'setup/memory.ts'),
  memfs: join(here, 'setup-memfs.ts'),
  'node:fs': join(tests, 'native-setup.ts'),
};

function runFile(setup: string, file: string): Result[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      '--conditions=@palimpsest/source',
      `--import=${join(here, 'polyfill.mjs')}`,
      `--import=${import.meta.resolve('tsx')}`,
      `--test-reporter=${join(here, 'reporter.mjs')}`,
      join(tests, 'fs', file),
    ],
    {
      encoding: 'utf8',
      cwd: copy,
      timeout: 60_000,
      env: { ...process.env, SETUP: setup, ZENFS_TESTS: tests },
    },
  );
  const results = stdout
    .split('\n')
    .filter((line) => line.startsWith('{"name"'))
    .map((line) => ({ file, ...(JSON.parse(line) as Omit<Result, 'file'>) }));
  if (results.length > 0) return results;
  const reason = stderr.split('\n').find((line) => /Error/.test(line)) ?? stderr.slice(0, 200);
  return [{ file, name: '(the whole file)', state: 'failed', reason }];
}

const files = readdirSync(join(tests, 'fs')).filter((name) => name.endsWith('.test.ts'));
const all = new Map<string, Result[]>();
for (const [system, setup] of Object.entries(SYSTEMS)) {
  all.set(
    system,
    files.flatMap((file) => runFile(setup, file)),
  );
}
rmSync(dirname(dirname(dirname(copy))), { recursive: true });
writeFileSync(join(here, '../../../../docs/TOYFS-SUITES.md'), document(all));

function document(results: ReadonlyMap<string, Result[]>): string {
  const count = (system: string, state: Result['state'], file?: string): number =>
    (results.get(system) ?? []).filter(
      (each) => each.state === state && (file === undefined || each.file === file),
    ).length;
  const systems = [...results.keys()];
  const cell = (system: string, file?: string): string =>
    `${count(system, 'passed', file)} / ${count(system, 'failed', file)} / ${count(system, 'skipped', file)}`;
  const ours = results.get('toyfs') ?? [];
  return `# Other projects' suites on toyfs

Written by \`packages/toyfs/suites/zenfs/run.mts\`; do not edit. The file system tests inside the npm package of
[ZenFS](https://github.com/zen-fs/core), unmodified, on four systems: passed / failed / skipped.

| File | ${systems.join(' | ')} |
| --- |${' --- |'.repeat(systems.length)}
${files.map((file) => `| ${file.replace('.test.ts', '')} | ${systems.map((system) => cell(system, file)).join(' | ')} |`).join('\n')}
| **all** | ${systems.map((system) => `**${cell(system)}**`).join(' | ')} |

Tests that take Sync forms are skipped or fail on toyfs, which has none: its devices answer later. ZenFS's tests were written for
a newer Node; what they take from it is filled in. A file that cannot be loaded counts as one failure.

## What toyfs does not pass, and why

| Test | | Why |
| --- | --- | --- |
${ours
  .filter(({ state }) => state !== 'passed')
  .map(
    ({ file, name, state, reason }) =>
      `| ${file.replace('.test.ts', '')}: ${escaped(name)} | ${state} | ${escaped(reasonFor(file, name, reason))} |`,
  )
  .join('\n')}
`;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').slice(0, 160);
}
