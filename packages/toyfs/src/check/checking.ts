/**
 * Checking: what the passes of a check share: the image, what they found wrong, and what they learnt
 * that a later pass needs.
 */
import type { SUPERBLOCK } from '../disk/superblock.js';
import type { Geometry } from '../geometry.js';
import type { Sums } from './checksums.js';
import { Claims } from './claims.js';
import type { Findings } from './finding.js';
import { readGroups } from './group-table.js';
import { InodeFacts } from './inode-facts.js';
import type { Source } from './source.js';

/** All fields of the superblock. */
export type SuperFields = ReturnType<typeof SUPERBLOCK.decode>;

/** A group as its descriptor says it. */
export interface GroupFacts {
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly flags: number;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly directories: number;
  /** Inodes at the end of the table that were never used, where the image keeps that number. */
  readonly unusedInodes: number;
  readonly blockBitmapChecksum: number;
  readonly inodeBitmapChecksum: number;
}

/** A directory, its blocks and whether an index is hidden in them. */
export interface DirectoryFacts {
  readonly ino: number;
  readonly generation: number;
  readonly hasIndex: boolean;
  /** Blocks of the image in the directory's order; 0: a hole. */
  readonly blocks: readonly number[];
  /** Pieces of records in the inode, when the content lies there; the first begins with the parent. */
  readonly inline?: readonly Uint8Array[];
}

/** See the head of the file. */
export interface Checking {
  readonly source: Source;
  readonly superblock: SuperFields;
  readonly geometry: Geometry;
  readonly sums: Sums;
  readonly findings: Findings;
  readonly claims: Claims;
  readonly inodes: InodeFacts;
  readonly groups: readonly GroupFacts[];
  readonly directories: DirectoryFacts[];
  /** For each block of xattrs: how many inodes have it, and how many it says. */
  readonly xattrBlocks: Map<number, { found: number; readonly said: number }>;
  /** Inodes with the value of an xattr: how often one names them. */
  readonly valueNames: Map<number, number>;
}

/** Whether a block number is one of the device's that a file may have. */
export function isInside({ geometry }: Checking, start: number, count = 1): boolean {
  return start > geometry.firstDataBlock && start + count <= geometry.blocks;
}

/** What is known before the first pass. */
type Common = Pick<Checking, 'source' | 'superblock' | 'geometry' | 'sums' | 'findings'>;

/** A check whose passes are all to come; undefined: the groups make no sense, so nothing can be looked at. */
export async function begun(common: Common): Promise<Checking | undefined> {
  const groups = await readGroups(common);
  if (groups === undefined) return undefined;
  return {
    ...common,
    groups,
    claims: new Claims(common.geometry),
    inodes: new InodeFacts(),
    directories: [],
    xattrBlocks: new Map(),
    valueNames: new Map(),
  };
}
