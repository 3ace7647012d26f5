/**
 * ExtentTree: the block map of one inode, as a B-tree of extents. Changes are made where the nodes
 * lie; the core keeps what they were until the operation ends.
 *
 *   X1  Entries of a node are in order and do not overlap; an inner entry's key is that of the first
 *       entry beneath.
 *   X2  The tree is as shallow as it can be: an empty node goes, and a root with one child that would
 *       fit into it takes its place.
 *   X3  Neighbours on both sides, in the file and on the device, are one extent as far as the length
 *       allows.
 */
import { invariant } from '@palimpsest/block-device';
import type { Allocator } from './allocator.js';
import type { Core } from './core.js';
import { EXTENT_HEAD, EXTENT_MAX, ROOT_ENTRIES } from './disk/extent-record.js';
import { type Extent, ExtentNode } from './extent-node.js';
import { ExtentWalk, FILE_BLOCKS_MAX, leafExtent, type Step } from './extent-walk.js';
import type { Inode } from './inode.js';

/** See the head of the file. */
export class ExtentTree {
  readonly #core: Core;
  readonly #space: Allocator;
  readonly #inode: Inode;
  readonly #walk: ExtentWalk;
  readonly #perBlock: number;

  constructor(core: Core, space: Allocator, inode: Inode) {
    this.#core = core;
    this.#space = space;
    this.#inode = inode;
    this.#walk = new ExtentWalk(core, inode);
    this.#perBlock = Math.floor((core.cache.blockSize - EXTENT_HEAD.size) / 12);
  }

  /** Writes an empty tree into the inode. */
  static init(inode: Inode): void {
    inode.block.bytes.fill(0, inode.root, inode.root + 60);
    ExtentNode.write(inode.block, inode.root, ROOT_ENTRIES, 0);
  }

  /** The first extent that ends after `logical`; undefined: there is none. */
  next(logical: number): Extent | undefined {
    const root = this.#walk.root();
    if (root.depth === 0) {
      const index = root.find(logical);
      if (index >= 0) {
        const extent = root.extent(index);
        if (extent.logical + extent.count > logical) return extent;
      }
      return index + 1 < root.entries ? root.extent(index + 1) : undefined;
    }
    const path = this.#walk.descend(logical);
    const leaf = path.at(-1) as Step;
    if (leaf.index >= 0) {
      const extent = leaf.node.extent(leaf.index);
      if (extent.logical + extent.count > logical) return extent;
    }
    return this.#walk.advance(path) ? leafExtent(path) : undefined;
  }

  /** The last extent; undefined: there is none. */
  last(): Extent | undefined {
    const path = this.#walk.descend(FILE_BLOCKS_MAX);
    return (path.at(-1) as Step).index < 0 ? undefined : leafExtent(path);
  }

  /** Adds an extent where there is a hole (X3). */
  insert(extent: Extent): void {
    const path = this.#walk.descend(extent.logical);
    const leaf = path.at(-1) as Step;
    const { node } = leaf;
    if (leaf.index >= 0) {
      const before = node.extent(leaf.index);
      invariant(before.logical + before.count <= extent.logical, 'extents do not overlap (X1)');
      if (isJoinable(before, extent)) {
        this.#core.touch(node.block);
        node.setExtent(leaf.index, { ...before, count: before.count + extent.count });
        this.#joinWithNext(path, leaf.index);
        return;
      }
    }
    if (leaf.index + 1 < node.entries) {
      const after = node.extent(leaf.index + 1);
      invariant(extent.logical + extent.count <= after.logical, 'extents do not overlap (X1)');
      if (isJoinable(extent, after)) {
        this.#core.touch(node.block);
        node.setExtent(leaf.index + 1, { ...extent, count: extent.count + after.count });
        if (leaf.index + 1 === 0) this.#matchKeys(path, path.length - 1);
        return;
      }
    }
    this.#add(path, path.length - 1, leaf.index + 1, (target, index) => {
      target.setExtent(index, extent);
    });
  }

  /**
   * Takes blocks `from..to` of the file out of the map and tells `removed` of each run; stops early
   * when the operation has changed enough. Answers where it stopped: `to` when it is done.
   */
  remove(from: number, to: number, removed: (extent: Extent) => void): number {
    let done = from;
    while (done < to) {
      if (this.#core.touched > this.#core.stepLimit) return done;
      const path = this.#walk.descend(done);
      const leaf = path.at(-1) as Step;
      let extent = leaf.index < 0 ? undefined : leaf.node.extent(leaf.index);
      if (extent === undefined || extent.logical + extent.count <= done) {
        extent = this.#walk.advance(path) ? leafExtent(path) : undefined;
      }
      if (extent === undefined || extent.logical >= to) break;
      done = this.#cut(path, extent, Math.max(done, extent.logical), to, removed);
    }
    this.#flatten();
    return to;
  }

  /** Blocks of the tree itself, each told once. */
  nodes(visit: (block: number) => void): void {
    const walk = (node: ExtentNode): void => {
      if (node.depth === 0) return;
      for (let index = 0; index < node.entries; index++) {
        visit(node.child(index));
        walk(this.#walk.child(node, index));
      }
    };
    walk(this.#walk.root());
  }

  /** Takes the part of `extent` in `from..to` out; answers the file block behind it. */
  #cut(
    path: Step[],
    extent: Extent,
    from: number,
    to: number,
    removed: (extent: Extent) => void,
  ): number {
    const { node, index } = path.at(-1) as Step;
    const end = extent.logical + extent.count;
    const cutEnd = Math.min(end, to);
    const head = from - extent.logical;
    const tail = end - cutEnd;
    this.#core.touch(node.block);
    const rest = {
      ...extent,
      logical: cutEnd,
      start: extent.start + extent.count - tail,
      count: tail,
    };
    if (head > 0) {
      node.setExtent(index, { ...extent, count: head });
      if (tail > 0) {
        this.#add(path, path.length - 1, index + 1, (target, at) => {
          target.setExtent(at, rest);
        });
      }
    } else if (tail > 0) {
      node.setExtent(index, rest);
      if (index === 0) this.#matchKeys(path, path.length - 1);
    } else {
      this.#removeEntry(path, path.length - 1);
    }
    removed({ ...extent, logical: from, count: cutEnd - from, start: extent.start + head });
    return cutEnd;
  }

  /** Adds an entry to the node at `level` of the way, splitting what is full. */
  #add(
    path: Step[],
    level: number,
    index: number,
    write: (node: ExtentNode, index: number) => void,
  ): void {
    const { node } = path[level] as Step;
    if (!node.isFull) {
      this.#core.touch(node.block);
      node.open(index);
      write(node, index);
      if (index === 0) this.#matchKeys(path, level);
      return;
    }
    if (level === 0) {
      this.#grow(path);
      this.#add(path, 1, index, write);
      return;
    }
    // At the end of the file the left half stays full: files mostly grow there.
    const middle = index === node.entries ? node.entries : node.entries >>> 1;
    const number = this.#takeNode();
    const right = this.#newNode(number, node.depth);
    this.#core.touch(node.block);
    node.moveTo(right, middle);
    const goesRight = index >= middle;
    const target = goesRight ? right : node;
    const place = goesRight ? index - middle : index;
    target.open(place);
    write(target, place);
    if (!goesRight && place === 0) this.#matchKeys(path, level);
    const parent = path[level - 1] as Step;
    const rightKey = right.key(0);
    this.#add(path, level - 1, parent.index + 1, (above, at) => {
      above.setIndex(at, rightKey, number);
    });
  }

  /** Moves the root's entries into a block of their own: the tree is one level deeper. */
  #grow(path: Step[]): void {
    const { node, index } = path[0] as Step;
    const number = this.#takeNode();
    const below = this.#newNode(number, node.depth);
    this.#core.touch(node.block);
    const key = node.key(0);
    node.moveTo(below, 0);
    node.depth++;
    node.entries = 1;
    node.setIndex(0, key, number);
    path.splice(0, 1, { node, index: 0 }, { node: below, index });
  }

  #takeNode(): number {
    const goal = this.#space.goalOf(this.#inode.ino);
    const { start } = this.#space.takeBlocks(goal, 1);
    this.#inode.edit().units += this.#core.cache.blockSize / 512;
    return start;
  }

  #newNode(number: number, depth: number): ExtentNode {
    const block = this.#core.freshMetadata(number, this.#core.seals?.extents(this.#inode));
    ExtentNode.write(block, 0, this.#perBlock, depth);
    return new ExtentNode(block, 0, this.#perBlock);
  }

  #freeNode(number: number): void {
    this.#space.giveBlocks({ start: number, count: 1 });
    this.#inode.edit().units -= this.#core.cache.blockSize / 512;
  }

  /** Makes the keys above `level` those of a first entry that has changed (X1). */
  #matchKeys(path: Step[], level: number): void {
    const key = (path[level] as Step).node.key(0);
    for (let above = level - 1; above >= 0; above--) {
      const { node, index } = path[above] as Step;
      if (node.key(index) === key) return;
      this.#core.touch(node.block);
      node.setKey(index, key);
      if (index > 0) return;
    }
  }

  /** Takes an entry out, and nodes that become empty (X2). */
  #removeEntry(path: Step[], level: number): void {
    const { node, index } = path[level] as Step;
    this.#core.touch(node.block);
    node.remove(index);
    if (level === 0) {
      if (node.entries === 0) node.depth = 0;
      return;
    }
    if (node.entries > 0) {
      if (index === 0) this.#matchKeys(path, level);
      return;
    }
    const parent = path[level - 1] as Step;
    this.#freeNode(parent.node.child(parent.index));
    this.#removeEntry(path, level - 1);
  }

  /** Takes up a lone child that fits into the root (X2). */
  #flatten(): void {
    for (;;) {
      const root = this.#walk.root();
      if (root.depth === 0 || root.entries !== 1) return;
      const child = this.#walk.child(root, 0);
      if (child.entries > ROOT_ENTRIES) return;
      const number = root.child(0);
      this.#core.touch(root.block);
      this.#core.touch(child.block);
      root.entries = 0;
      root.depth = child.depth;
      child.moveTo(root, 0);
      this.#freeNode(number);
    }
  }

  #joinWithNext(path: Step[], index: number): void {
    const { node } = path.at(-1) as Step;
    if (index + 1 >= node.entries) return;
    const left = node.extent(index);
    const right = node.extent(index + 1);
    if (!isJoinable(left, right)) return;
    node.setExtent(index, { ...left, count: left.count + right.count });
    node.remove(index + 1);
  }
}

/** Whether two extents are one (X3). */
function isJoinable(left: Extent, right: Extent): boolean {
  return (
    left.logical + left.count === right.logical &&
    left.start + left.count === right.start &&
    left.unwritten === right.unwritten &&
    left.count + right.count <= EXTENT_MAX - (left.unwritten ? 1 : 0)
  );
}
