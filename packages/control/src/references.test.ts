import { describe, expect, test } from 'vitest';
import { parseReference, parseTarget } from './references.js';

describe('references', () => {
  test.each([
    ['prod', { kind: 'volume', volume: 'prod' }],
    ['prod@monday', { kind: 'snapshot', volume: 'prod', snapshot: { by: 'name', name: 'monday' } }],
    ['prod@latest', { kind: 'snapshot', volume: 'prod', snapshot: { by: 'latest' } }],
    [
      'prod@2h',
      { kind: 'snapshot', volume: 'prod', snapshot: { by: 'age', ageMs: 7_200_000, text: '2h' } },
    ],
    [
      'prod@0s',
      { kind: 'snapshot', volume: 'prod', snapshot: { by: 'age', ageMs: 0, text: '0s' } },
    ],
    ['prod/dev', { kind: 'branch', volume: 'prod', branch: 'dev' }],
  ])('%s', (text, expected) => expect(parseReference(text)).toEqual(expected));

  test.each([
    '',
    '@',
    '/',
    'prod@',
    'prod/',
    '@x',
    '/x',
    'a/b/c',
    'a@b@c',
    '../etc',
    'a@../b',
    'a\u0007',
  ])('%j is not one', (text) => {
    expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'ERR_INVALID' }));
  });

  test('a snapshot of a branch', () => {
    expect(parseReference('prod/dev@x')).toEqual({
      kind: 'snapshot',
      volume: 'prod',
      branch: 'dev',
      snapshot: { by: 'name', name: 'x' },
    });
    expect(() => parseTarget('prod/dev@x')).toThrow(/is a snapshot/);
  });
});
