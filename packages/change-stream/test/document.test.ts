/**
 * docs/STREAM.md and the code say the same: every frame's table in the document is printed from its
 * layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fieldSize, type Layout } from '@palimpsest/bytes';
import { expect, test } from 'vitest';
import * as frames from '../src/frames.js';

const DOCUMENT = new URL('../../../docs/STREAM.md', import.meta.url);

function withSection(document: string, name: string, content: string): string {
  const start = `<!-- ${name} -->\n`;
  const end = `<!-- end ${name} -->`;
  const from = document.indexOf(start);
  const to = document.indexOf(end);
  if (from < 0 || to < 0) throw new Error(`docs/STREAM.md has no section for ${name}`);
  return `${document.slice(0, from + start.length)}${content}${document.slice(to)}`;
}

function table(record: Layout): string {
  const rows = record.fields.map(
    ({ offset, name, type, meaning }) =>
      `| ${offset} | ${fieldSize(type)} | \`${name}\` | ${type} | ${meaning} |`,
  );
  return [
    '| Offset | Size | Field | Type | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

test('the document shows the tables of the code', () => {
  const current = readFileSync(DOCUMENT, 'utf8');
  let expected = current;
  for (const [name, value] of Object.entries(frames)) {
    if (typeof value === 'object') expected = withSection(expected, name, table(value));
  }
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});
