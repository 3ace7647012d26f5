/**
 * Goal: docs/PATENTS.md tells the truth: every row names a place in the code and a test that
 * are there.
 * Method: each named file is looked for, and the title of each test (`<br>` between them) in its text.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const NUMBERS = [...Array.from({ length: 30 }, (_, index) => index + 1), 32];

const rows = readFileSync(join(ROOT, 'docs/PATENTS.md'), 'utf8')
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => cells.length === 7 && /^\d+$/.test(cells[1] ?? ''));

test('every row that must or should be there is', () => {
  expect(rows.map(([, number]) => Number(number))).toEqual(NUMBERS);
});

test.each(rows)(
  '%s%s: the code and the test are there',
  (_, _number, _feature, _source, code, shown) => {
    for (const [, path = ''] of (code ?? '').matchAll(/`([^`]+\.ts)`/g)) {
      const folder = (code ?? '').match(/`([^`]+)\/[^`/]+\.ts`/)?.[1] ?? '';
      const file = path.includes('/') ? path : `${folder}/${path}`;
      expect(existsSync(join(ROOT, 'packages', file)), file).toBe(true);
    }
    const tests = (shown ?? '').split('<br>').map((each) => each.trim());
    for (const each of tests) {
      const [, file = '', title = ''] = /^`([^`]+)` > (.+)$/.exec(each) ?? [];
      expect(title, each).not.toBe('');
      expect(readFileSync(join(ROOT, file), 'utf8')).toContain(title);
    }
  },
);
