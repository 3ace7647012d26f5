/**
 * treeUpdates: what is pending, sorted and encoded for the two trees of the block map. A checkpoint
 * has hundreds of thousands of changes, so they go straight into the bytes that leaves are made of.
 */
import { type Updates, writeKey } from './block-tree.js';
import { writeEntry } from './entries.js';
import { EntryList } from './entry-list.js';
import { ENTRY, KEY } from './format.js';
import type { PendingEntry, PendingMap } from './pending-map.js';
import { LIVE } from './versions.js';

/** Changes encoded before other work goes on: as long as a few requests take. */
const CHANGES_A_TURN = 64;

/** The pending changes, which must not change meanwhile, in the order of both trees. */
export async function treeUpdates(
  pending: PendingMap,
  turn: () => Promise<void>,
): Promise<{ blocks: Updates; versions: Updates }> {
  let encoded = 0;
  const isTimeForTurn = (): boolean => {
    encoded += 1;
    return encoded % CHANGES_A_TURN === 0;
  };
  const blocks = new SortedUpdates(ENTRY.size, pending.count);
  const versions = new SortedUpdates(KEY.size, pending.count);
  for (const space of pending.spaces()) {
    // Taken in order of block, what a version gathers is in order of block too.
    const byVersion = new Map<number, { blocks: number[]; removed: boolean[] }>();
    for (const block of pending.blocksOf(space)) {
      if (isTimeForTurn()) await turn();
      for (const entry of chainOf(pending.head(space, block))) {
        writeEntry(blocks.entries, space, block, entry, 0);
        blocks.note(entry.removed);
        if (entry.version === LIVE) continue;
        let bucket = byVersion.get(entry.version);
        if (bucket === undefined) {
          bucket = { blocks: [], removed: [] };
          byVersion.set(entry.version, bucket);
        }
        bucket.blocks.push(block);
        bucket.removed.push(entry.removed);
      }
    }
    for (const [version, bucket] of [...byVersion].sort(([x], [y]) => x - y)) {
      for (const [index, block] of bucket.blocks.entries()) {
        if (isTimeForTurn()) await turn();
        const at = versions.entries.extend();
        writeKey(versions.entries.view, at, space, version, block);
        versions.note(bucket.removed[index] === true);
      }
    }
  }
  return { blocks, versions };
}

/** Updates being gathered in order. */
class SortedUpdates implements Updates {
  readonly entries: EntryList;
  readonly removed: Uint8Array;
  #noted = 0;

  constructor(stride: number, capacity: number) {
    this.entries = new EntryList(stride, Math.max(1, capacity));
    this.removed = new Uint8Array(capacity);
  }

  /** Says of the entry just added whether it is removed. */
  note(removed: boolean): void {
    this.removed[this.#noted] = removed ? 1 : 0;
    this.#noted += 1;
  }
}

/** A block's changes in order of version; there is hardly ever more than one. */
function chainOf(head: PendingEntry | undefined): readonly PendingEntry[] {
  if (head?.next === undefined) return head === undefined ? [] : [head];
  const chain: PendingEntry[] = [];
  for (let entry: PendingEntry | undefined = head; entry !== undefined; entry = entry.next) {
    chain.push(entry);
  }
  return chain.sort((x, y) => x.version - y.version);
}
