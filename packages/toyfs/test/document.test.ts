/**
 * docs/EXT4.md and the code say the same: every record's table in the document is printed from its
 * layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fieldSize, type Layout } from '@palimpsest/bytes';
import { expect, test } from 'vitest';
import * as directoryRecord from '../src/disk/directory-record.js';
import * as extentRecord from '../src/disk/extent-record.js';
import * as groupDescriptor from '../src/disk/group-descriptor.js';
import * as inodeRecord from '../src/disk/inode-record.js';
import * as journalRecord from '../src/disk/journal-record.js';
import * as superblock from '../src/disk/superblock.js';
import * as xattrRecord from '../src/disk/xattr-record.js';

const RECORDS: Record<string, unknown> = {
  ...superblock,
  ...groupDescriptor,
  ...inodeRecord,
  ...extentRecord,
  ...directoryRecord,
  ...xattrRecord,
  ...journalRecord,
};

const DOCUMENT = new URL('../../../docs/EXT4.md', import.meta.url);

function withSection(document: string, name: string, content: string): string {
  const start = `<!-- ${name} -->\n`;
  const end = `<!-- end ${name} -->`;
  const from = document.indexOf(start);
  const to = document.indexOf(end);
  if (from < 0 || to < 0) throw new Error(`docs/EXT4.md has no section for ${name}`);
  return `${document.slice(0, from + start.length)}${content}${document.slice(to)}`;
}

function isLayout(value: unknown): value is Layout {
  return typeof value === 'object' && value !== null && 'fields' in value;
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
  for (const [name, value] of Object.entries(RECORDS)) {
    if (isLayout(value)) expected = withSection(expected, name, table(value));
  }
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});
