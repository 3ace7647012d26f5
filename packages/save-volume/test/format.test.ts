/**
 * docs/FORMAT.md and the code say the same: every record's table in the document is printed from its
 * layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createMemoryDevice } from '@palimpsest/block-device';
import { withSection, withTables } from '@palimpsest/bytes/testing';
import { expect, test } from 'vitest';
import * as format from '../src/format.js';
import { formatSaveVolume } from '../src/index.js';

const DOCUMENT = new URL('../../../docs/FORMAT.md', import.meta.url);

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
  const hex = (offset: number): string => `0x${offset.toString(16).padStart(2, '0')}`;
  const tables = withTables(current, format, { offset: hex });
  const expected = withSection(tables, 'DUMP', await dump());
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});
