/**
 * Goal: `npm run mutants` takes minutes, so what would make it break before it starts is found here:
 * a patch whose text has moved on, and a row of docs/TESTING.md that names no bug or another one.
 */
import fs from 'node:fs';
import { expect, test } from 'vitest';
import { MUTANTS } from '../src/mutants/list.js';
import { REAL_BUGS } from '../src/mutants/real.js';
import { mutated, ROOT } from '../src/mutants/tree.js';

const ALL = [...MUTANTS, ...REAL_BUGS];
const ROWS = 25;

test.each(ALL.map((mutant) => [mutant.name, mutant] as const))('%s can be put in', (_, mutant) => {
  expect(mutated(ROOT, mutant)).not.toBe('');
});

test('no two have one name', () => {
  expect(new Set(ALL.map(({ name }) => name)).size).toBe(ALL.length);
});

test('each real bug of the table has its mutant, and each mutant of one is in the table', () => {
  const table = fs.readFileSync(`${ROOT}/docs/TESTING.md`, 'utf8');
  for (let row = 1; row <= ROWS; row++) {
    const line = new RegExp(`^\\| ${row} \\|.*$`, 'm').exec(table)?.[0] ?? '';
    const names = ALL.filter((mutant) => mutant.row === row).map(({ name }) => name);
    expect(names.length, `row ${row}`).toBeGreaterThan(0);
    for (const name of names) expect(line).toContain(`\`${name}\``);
  }
});
