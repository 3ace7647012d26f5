/**
 * Goal: a table in a document that is not the code's is noticed: another offset, a field more, a
 * record without a table.
 */
import { expect, test } from 'vitest';
import { layout } from '../src/index.js';
import { withSection, withTables } from '../src/testing/index.js';

const HEAD = layout(12, [
  { offset: 0, name: 'magic', type: 'u32', meaning: 'what this is' },
  { offset: 4, name: 'id', type: 8, meaning: 'which' },
]);
const EMPTY = 'Text.\n<!-- HEAD -->\n<!-- end HEAD -->\nMore.\n';

test('tables are printed where they belong, and stay as they are', () => {
  const document = withTables(EMPTY, { HEAD, HEAD_SIZE: 12 });
  expect(document).toContain('| 4 | 8 | `id` | bytes | which |\n<!-- end HEAD -->\nMore.');
  expect(withTables(document, { HEAD })).toBe(document);
  expect(withTables(EMPTY, { HEAD }, { offset: (at) => `0x${at}` })).toContain('| 0x4 | 8 |');
});

test('a difference is noticed', () => {
  const document = withTables(EMPTY, { HEAD });
  const moved = document.replace('| 4 | 8 |', '| 5 | 8 |');
  expect(withTables(moved, { HEAD })).not.toBe(moved);
  const LONGER = layout(13, [
    ...HEAD.fields,
    { offset: 12, name: 'more', type: 'u8', meaning: 'more' },
  ]);
  expect(withTables(document, { HEAD: LONGER })).not.toBe(document);
  expect(() => withTables(document, { HEAD, TAIL: HEAD })).toThrow(/no section for TAIL/);
  expect(() => withSection(document, 'DUMP', '')).toThrow(/no section for DUMP/);
});
