/**
 * The block map of one inode, walked and doubted: each run of blocks is told, each block claimed, and
 * whatever is out of order found. A damaged part is found and left out.
 */
import { FLAG_EXTENTS } from '../disk/inode-record.js';
import { type Checking, isInside } from './checking.js';
import { walkExtents } from './extent-map.js';
import { walkIndirect } from './indirect-map.js';
import type { InodeRecord } from './inode-record.js';

/** A run of a file's blocks. */
export interface Run {
  /** First block of the file. */
  readonly logical: number;
  /** First block on the device. */
  readonly start: number;
  readonly count: number;
  readonly unwritten: boolean;
}

/** What a walk tells as it goes. */
export interface Visitor {
  run(run: Run): void;
}

/** What a whole map comes to. */
export interface MapSum {
  /** Blocks that the file has, those of its map among them. */
  blocks: number;
  /** The last block of the file that is there and written; -1: none. */
  lastWritten: number;
  /** The last block of the file that is there; -1: none. */
  last: number;
  /** Something is wrong: what else is counted of it says nothing. */
  isDamaged: boolean;
}

/** See the head of the file. */
export async function walkMap(
  checking: Checking,
  inode: InodeRecord,
  visitor: Visitor,
): Promise<MapSum> {
  const sum: MapSum = { blocks: 0, lastWritten: -1, last: -1, isDamaged: false };
  const walk = new MapWalk(checking, inode, visitor, sum);
  if (inode.hasFlag(FLAG_EXTENTS)) await walkExtents(walk);
  else await walkIndirect(walk);
  return sum;
}

/** One walk: what extents and block numbers have in common. */
export class MapWalk {
  readonly checking: Checking;
  readonly inode: InodeRecord;
  readonly #visitor: Visitor;
  readonly #sum: MapSum;

  constructor(checking: Checking, inode: InodeRecord, visitor: Visitor, sum: MapSum) {
    this.checking = checking;
    this.inode = inode;
    this.#visitor = visitor;
    this.#sum = sum;
  }

  /** Something is wrong with the map. */
  damage(message: string, code: 'map' | 'checksum' = 'map', block?: number): void {
    const { ino } = this.inode;
    this.#sum.isDamaged = true;
    this.checking.findings.add(code, `inode ${ino} ${message}`, {
      ino,
      ...(block === undefined ? {} : { block }),
    });
  }

  /** Takes a block of the map itself; false: it cannot be read, or is somebody else's. */
  node(block: number): boolean {
    if (!this.#claim(block, 1)) return false;
    this.#sum.blocks++;
    return true;
  }

  /** Takes a run of the file's blocks. */
  run(run: Run): void {
    this.#sum.last = Math.max(this.#sum.last, run.logical + run.count - 1);
    if (!run.unwritten) this.#sum.lastWritten = Math.max(this.#sum.lastWritten, this.#sum.last);
    this.#sum.blocks += run.count;
    if (isInside(this.checking, run.start, run.count)) this.#visitor.run(run);
    this.#claim(run.start, run.count);
  }

  #claim(start: number, count: number): boolean {
    const { ino } = this.inode;
    const { findings, claims, geometry } = this.checking;
    if (!isInside(this.checking, start, count)) {
      this.#sum.isDamaged = true;
      const what = count === 1 ? `block ${start}` : `blocks ${start} to ${start + count - 1}`;
      const message = `inode ${ino} has ${what} of ${geometry.blocks}`;
      findings.add('outside', message, { ino, block: start });
      return false;
    }
    const shared = claims.claim(start, count);
    if (shared === undefined) return true;
    this.#sum.isDamaged = true;
    findings.add('shared', `inode ${ino} has block ${shared}, which is another's`, {
      ino,
      block: shared,
    });
    return false;
  }
}
