import { describe, expect, test } from 'vitest';
import { assertName, generatedName, quote } from './names.js';

const good = ['a', '0', 'prod', 'before-0042', 'A.b_c-d', 'x'.repeat(128), '2hours', 'latest2'];
const bad: readonly [name: string, reason: string][] = [
  ['', 'it is empty'],
  ['x'.repeat(129), 'it has 129 characters'],
  ['a/b', 'it has a slash'],
  ['a@b', 'it has an "@"'],
  ['a\nb', 'it has a control character'],
  ['a\u001b[2J', 'it has a control character'],
  ['a\u0000', 'it has a control character'],
  ['a\u0085', 'it has a control character'],
  ['.hidden', 'it has a character that names do not have'],
  ['-v', 'it has a character that names do not have'],
  ['a b', 'it has a character that names do not have'],
  ['naïve', 'it has a character that names do not have'],
  ['latest', '"latest" means the youngest snapshot'],
  ['LATEST', '"latest" means the youngest snapshot'],
  ['2h', 'it reads as an age'],
  ['90S', 'it reads as an age'],
];

describe('names', () => {
  test.each(good)('%s is a name', (name) => expect(() => assertName('volume', name)).not.toThrow());

  test.each(bad)('%j is not, and the message says why', (name, reason) => {
    expect(() => assertName('snapshot', name)).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID', message: expect.stringContaining(reason) }),
    );
  });

  test('what is quoted holds no control character and is not endless', () => {
    const shown = quote(`\u001b[31m\r\n\u0085\u2028${'y'.repeat(1000)}`);
    expect(shown).not.toMatch(/\p{Cc}|\u2028/u);
    expect(shown.length).toBeLessThan(120);
  });

  test('a generated name is a name, is the time in UTC, and steps aside', () => {
    const at = Date.UTC(2026, 10, 22, 17, 5, 12);
    const taken = new Set<string>();
    const names = [1, 2, 3].map(() => {
      const name = generatedName(at, (candidate) => taken.has(candidate));
      taken.add(name);
      assertName('snapshot', name);
      return name;
    });
    expect(names).toEqual(['20261122-170512', '20261122-170512-2', '20261122-170512-3']);
  });
});
