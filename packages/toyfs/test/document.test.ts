/**
 * docs/EXT4.md and the code say the same: every record of src/disk has its table in the document,
 * printed from its layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing
 * them.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { withTables } from '@palimpsest/bytes/testing';
import { expect, test } from 'vitest';

const DOCUMENT = new URL('../../../docs/EXT4.md', import.meta.url);
const RECORDS = new URL('../src/disk/', import.meta.url);

test('the document shows the tables of the code', async () => {
  const current = readFileSync(DOCUMENT, 'utf8');
  let expected = current;
  for (const file of readdirSync(RECORDS)) {
    const exports: Record<string, unknown> = await import(new URL(file, RECORDS).pathname);
    expected = withTables(expected, exports);
  }
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});
