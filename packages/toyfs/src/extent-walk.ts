/**
 * ExtentWalk: the ways from the root of an inode's extent tree to its leaves. A way stays true while
 * the tree is not changed.
 */
import type { Core } from './core.js';
import { EXTENT_HEAD, ROOT_ENTRIES } from './disk/extent-record.js';
import { FsError } from './errors.js';
import { type Extent, ExtentNode } from './extent-node.js';
import type { Inode } from './inode.js';
import { admit } from './seals/seal.js';

/** A step of a way: a node, and the entry taken; -1 before the first of a leaf. */
export interface Step {
  readonly node: ExtentNode;
  index: number;
}

/** Blocks of a file at most: the numbers have 32 bits. */
export const FILE_BLOCKS_MAX: number = 2 ** 32 - 1;

/** See the head of the file. */
export class ExtentWalk {
  readonly #core: Core;
  readonly #inode: Inode;
  readonly #perBlock: number;

  constructor(core: Core, inode: Inode) {
    this.#core = core;
    this.#inode = inode;
    this.#perBlock = Math.floor((core.cache.blockSize - EXTENT_HEAD.size) / 12);
  }

  root(): ExtentNode {
    return new ExtentNode(this.#inode.block, this.#inode.root, ROOT_ENTRIES);
  }

  /** The node beneath entry `index`. @throws {FsError} EIO for one of the wrong depth */
  child(node: ExtentNode, index: number): ExtentNode {
    const block = this.#core.cache.get(node.child(index));
    const child = new ExtentNode(block, 0, this.#perBlock);
    if (block.seal === undefined && this.#core.seals !== undefined) {
      admit(block, this.#core.seals.extents(this.#inode), `inode ${this.#inode.ino}`);
    }
    if (child.depth !== node.depth - 1) {
      throw new FsError('EIO', `inode ${this.#inode.ino} has an extent node of the wrong depth`);
    }
    return child;
  }

  /** The way to the last entry at or before `logical`. */
  descend(logical: number): Step[] {
    let node = this.root();
    const path: Step[] = [];
    for (;;) {
      const index = node.find(logical);
      if (node.depth === 0) {
        path.push({ node, index });
        return path;
      }
      if (node.entries === 0) {
        throw new FsError('EIO', `inode ${this.#inode.ino} has an empty inner extent node`);
      }
      // Before the first key the first subtree is the one to grow.
      const taken = Math.max(0, index);
      path.push({ node, index: taken });
      node = this.child(node, taken);
    }
  }

  /** Moves the way on to the next entry of a leaf; false: there is none. */
  advance(path: Step[]): boolean {
    const leaf = path.at(-1) as Step;
    if (leaf.index + 1 < leaf.node.entries) {
      leaf.index++;
      return true;
    }
    for (let level = path.length - 2; level >= 0; level--) {
      const step = path[level] as Step;
      if (step.index + 1 >= step.node.entries) continue;
      step.index++;
      path.length = level + 1;
      let node = this.child(step.node, step.index);
      for (;;) {
        path.push({ node, index: 0 });
        if (node.depth === 0) return node.entries > 0;
        node = this.child(node, 0);
      }
    }
    return false;
  }
}

/** The extent that a way leads to. */
export function leafExtent(path: readonly Step[]): Extent {
  const { node, index } = path.at(-1) as Step;
  return node.extent(index);
}
