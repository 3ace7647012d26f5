/**
 * Entries: how an entry of the block map lies in a leaf of the by-block tree and in the journal.
 */
import { getU48, setU48 } from '@palimpsest/bytes';
import { type Found, writeKey } from './block-tree.js';
import type { EntryList } from './entry-list.js';
import { ENTRY } from './format.js';
import type { MapEntry } from './pending-map.js';

/** Reads a leaf entry of the by-block tree. */
export function readEntry({ view, at }: Found): MapEntry {
  return {
    version: getU48(view, at + ENTRY.at.version),
    address: getU48(view, at + ENTRY.at.address),
    flags: view.getUint16(at + ENTRY.at.flags, true),
    checksum: view.getUint32(at + ENTRY.at.checksum, true),
  };
}

/** Adds an entry to a list, as a leaf holds it (`kind` 0) or the journal does. */
export function writeEntry(
  list: EntryList,
  space: number,
  block: number,
  entry: MapEntry,
  kind: number,
): void {
  const at = list.extend();
  const { view } = list;
  writeKey(view, at, space, block, entry.version);
  setU48(view, at + ENTRY.at.address, entry.address);
  view.setUint16(at + ENTRY.at.flags, entry.flags, true);
  view.setUint32(at + ENTRY.at.checksum, entry.checksum, true);
  view.setUint32(at + ENTRY.at.kind, kind, true);
}
