import { readFile, writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { manual } from '../src/manual.js';

const PAGE = new URL('../../../docs/CLI.md', import.meta.url);

test('docs/CLI.md is what the program says; UPDATE_DOCS=1 writes it anew', async () => {
  if (process.env.UPDATE_DOCS === '1') await writeFile(PAGE, manual());
  expect(await readFile(PAGE, 'utf8')).toBe(manual());
});

test('every command is in it, with every option', () => {
  const page = manual();
  for (const command of [
    'init',
    'serve',
    'status',
    'stats',
    'demo',
    'volume create',
    'volume adopt',
    'volume release',
    'volume list',
    'snapshot create',
    'snapshot list',
    'snapshot info',
    'snapshot delete',
    ...['format', 'ls', 'cat', 'cp', 'mkdir', 'rm', 'mv', 'df', 'diff', 'check'].map(
      (verb) => `fs ${verb}`,
    ),
    'branch create',
    'branch list',
    'branch delete',
    'branch refresh',
    'branch flatten',
    'branch quota',
    'snapshot refresh',
    'snapshot hold',
    'snapshot unhold',
    'snapshot edit',
    'group snapshot',
    'volume delete',
    'resize',
    'ls',
    'undo',
    'restore',
    'restore status',
    'restore pause',
    'restore resume',
    'restore cancel',
    'promote',
    'log',
    'jobs',
    'settings',
    'verify',
  ]) {
    expect(page).toContain(`### pal ${command}\n`);
  }
  for (const option of [
    '--json',
    '--store <dir>',
    '-y, --yes',
    '--dry-run',
    '--from <reference>',
  ]) {
    expect(page).toContain(`\`${option}\``);
  }
});
