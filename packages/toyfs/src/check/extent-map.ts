/**
 * A tree of extents, walked and doubted.
 *
 *   T1  A node has its magic number, no more entries than fit, and the depth that its parent says.
 *   T2  Entries are in order and do not overlap; those of a subtree lie between its key and the next.
 *   T3  A subtree's key is the first block of its first entry.
 */
import {
  DEPTH_MAX,
  EXTENT,
  EXTENT_HEAD,
  EXTENT_INDEX,
  EXTENT_MAGIC,
  EXTENT_MAX,
  ROOT_ENTRIES,
} from '../disk/extent-record.js';
import type { MapWalk } from './file-map.js';

/** The blocks of the file that a node may speak of. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** A node, and what is expected of it. */
interface Node {
  readonly view: DataView;
  readonly block: number | undefined;
  /** Entries that fit. */
  readonly room: number;
  readonly depth: number;
  readonly span: Span;
}

/** Walks the tree whose root is in the inode. */
export async function walkExtents(walk: MapWalk): Promise<void> {
  const bytes = walk.inode.root.slice();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const depth = view.getUint16(EXTENT_HEAD.at.depth, true);
  if (depth > DEPTH_MAX) {
    walk.damage(`has a tree of extents of depth ${depth}`);
    return;
  }
  await node(walk, {
    ...{ view, depth, block: undefined, room: ROOT_ENTRIES },
    span: { from: 0, to: 2 ** 32 },
  });
}

/** Whether the head of a node makes sense (T1). */
function headFits(walk: MapWalk, { view, block, room, depth }: Node): boolean {
  const at = EXTENT_HEAD.at;
  const entries = view.getUint16(at.entries, true);
  const max = view.getUint16(at.max, true);
  const where = block === undefined ? 'its extents' : `a node of extents in block ${block}`;
  // Writers may leave up to two entries' room for a checksum.
  const isSane =
    view.getUint16(at.magic, true) === EXTENT_MAGIC &&
    entries <= max &&
    max <= room &&
    max >= room - 2 &&
    (entries > 0 || block === undefined) &&
    view.getUint16(at.depth, true) === depth;
  if (!isSane) walk.damage(`has ${where} with a damaged head`, 'map', block);
  return isSane;
}

async function node(walk: MapWalk, each: Node): Promise<void> {
  if (!headFits(walk, each)) return;
  const { view, depth, span } = each;
  const entries = view.getUint16(EXTENT_HEAD.at.entries, true);
  let next = span.from;
  for (let i = 0; i < entries && !walk.checking.findings.isFull; i++) {
    const at = EXTENT_HEAD.size + i * EXTENT.size;
    const logical = view.getUint32(at, true);
    const follows = i + 1 < entries ? view.getUint32(at + EXTENT.size, true) : span.to;
    const isFirst = i === 0 && each.block !== undefined;
    // T2, T3
    if (logical < next || logical >= span.to || (isFirst && logical !== span.from)) {
      walk.damage(`has extents out of order at its block ${logical}`, 'map', each.block);
      if (depth === 0) continue;
    }
    if (depth === 0) {
      next = leaf(walk, view, at, Math.min(span.to, 2 ** 32), each.block);
    } else {
      await child(walk, each, at, { from: logical, to: Math.max(logical, follows) });
      next = logical + 1;
    }
  }
}

/** Takes one extent; answers the block behind it. */
function leaf(
  walk: MapWalk,
  view: DataView,
  at: number,
  end: number,
  block: number | undefined,
): number {
  const logical = view.getUint32(at, true);
  const length = view.getUint16(at + EXTENT.at.length, true);
  const unwritten = length > EXTENT_MAX;
  const count = unwritten ? length - EXTENT_MAX : length;
  const start =
    view.getUint32(at + EXTENT.at.startLow, true) +
    view.getUint16(at + EXTENT.at.startHigh, true) * 2 ** 32;
  if (count === 0 || logical + count > end) {
    walk.damage(`has an extent of ${count} blocks at its block ${logical}`, 'map', block);
    return logical;
  }
  if (unwritten && walk.inode.isDirectory) {
    walk.damage(`is a directory with an extent that is not written`, 'map', block);
  }
  walk.run({ logical, start, count, unwritten });
  return logical + count;
}

/** Walks the node that an entry leads to. */
async function child(walk: MapWalk, parent: Node, at: number, span: Span): Promise<void> {
  const { checking, inode } = walk;
  const block =
    parent.view.getUint32(at + EXTENT_INDEX.at.childLow, true) +
    parent.view.getUint16(at + EXTENT_INDEX.at.childHigh, true) * 2 ** 32;
  if (!walk.node(block)) return;
  const { bytes, view } = await checking.source.read(block);
  const room = Math.floor((bytes.length - EXTENT_HEAD.size) / EXTENT.size);
  const max = view.getUint16(EXTENT_HEAD.at.max, true);
  if (!checking.sums.extents(inode.ino, inode.generation, bytes, Math.min(max, room))) {
    walk.damage(`has a node of extents with a wrong checksum in block ${block}`, 'checksum', block);
  }
  await node(walk, { view, block, room, depth: parent.depth - 1, span });
}
