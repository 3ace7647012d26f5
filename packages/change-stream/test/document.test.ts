/**
 * docs/STREAM.md and the code say the same: every frame's table in the document is printed from its
 * layout. UPDATE_FORMAT=1 writes the tables into the document instead of comparing them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { withTables } from '@palimpsest/bytes/testing';
import { expect, test } from 'vitest';
import * as frames from '../src/frames.js';

const DOCUMENT = new URL('../../../docs/STREAM.md', import.meta.url);

test('the document shows the tables of the code', () => {
  const current = readFileSync(DOCUMENT, 'utf8');
  const expected = withTables(current, frames);
  if (process.env.UPDATE_FORMAT === '1') writeFileSync(DOCUMENT, expected);
  else expect(current).toBe(expected);
});
