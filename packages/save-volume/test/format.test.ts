/**
 * docs/FORMAT.md and the code say the same: every record's table in the document is printed from its
 * layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createMemoryDevice } from '@palimpsest/block-device';
import { fieldSize, type Layout } from '@palimpsest/bytes';
import { expect, test } from 'vitest';
import * as format from '../src/format.js';
import { formatSaveVolume } from '../src/index.js';

const DOCUMENT = new URL('../../../docs/FORMAT.md', import.meta.url);

const RECORDS: Readonly<Record<string, Layout>> = {
  SUPERBLOCK: format.SUPERBLOCK,
  JOURNAL_HEADER: format.JOURNAL_HEADER,
  ENTRY: format.ENTRY,
  PAGE_HEADER: format.PAGE_HEADER,
  KEY: format.KEY,
  CHILD: format.CHILD,
  GROUP_HEADER: format.GROUP_HEADER,
  GROUP_STATE: format.GROUP_STATE,
  CHAIN_HEADER: format.CHAIN_HEADER,
  OBJECT_HEADER: format.OBJECT_HEADER,
};

/** Replaces what stands between the markers of `name`. */
function withSection(document: string, name: string, content: string): string {
  const start = `<!-- ${name} -->\n`;
  const end = `<!-- end ${name} -->`;
  const from = document.indexOf(start);
  const to = document.indexOf(end);
  if (from < 0 || to < 0) throw new Error(`docs/FORMAT.md has no section for ${name}`);
  return `${document.slice(0, from + start.length)}${content}${document.slice(to)}`;
}

function table(record: Layout): string {
  const rows = record.fields.map(
    ({ offset, name, type, meaning }) =>
      `| 0x${offset.toString(16).padStart(2, '0')} | ${fieldSize(type)} | \`${name}\` | ${typeof type === 'number' ? 'bytes' : type} | ${meaning} |`,
  );
  return [
    '| Offset | Size | Field | Type | Meaning |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}

/** The first bytes of a new store with a known id, as `hexdump -C` shows them. */
async function dump(): Promise<string> {
  const device = createMemoryDevice({ size: 1 << 20 });
  await formatSaveVolume(device, { storeId: Uint8Array.from({ length: 16 }, (_, index) => index) });
  const bytes = new Uint8Array(4096);
  await device.readInto(bytes, 4096);
  const lines: string[] = [];
  for (let at = 0; at < format.SUPERBLOCK.size; at += 16) {
    const row = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    const isZero = row.every((byte) => byte === '00');
    if (!isZero) lines.push(`${(4096 + at).toString(16).padStart(8, '0')}  ${row.join(' ')}`);
  }
  return `\`\`\`text\n${lines.join('\n')}\n\`\`\`\n`;
}

test('the format document shows the tables of the code', async () => {
  const current = readFileSync(DOCUMENT, 'utf8');
  let expected = current;
  for (const [name, record] of Object.entries(RECORDS)) {
    expected = withSection(expected, name, table(record));
  }
  expected = withSection(expected, 'DUMP', await dump());
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});

test('every record of the code is in the document', () => {
  const layouts = Object.entries(format).filter(
    ([, value]) => typeof value === 'object' && 'fields' in value,
  );
  expect(layouts.map(([name]) => name).sort()).toEqual(Object.keys(RECORDS).sort());
});
