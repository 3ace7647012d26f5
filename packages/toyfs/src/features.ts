/**
 * Features: what an image may use beyond ext2, and what that lets us do with it. There are allow
 * lists, not refuse lists: what is not named here was not thought about.
 *
 *   F1  An image with an incompatible feature outside the read set is refused, by the feature's name.
 *   F2  One with a read-only compatible feature outside the write set, or an incompatible one that is
 *       only in the read set, opens for reading, and `writeObstacle` says why.
 */
import { StorageError } from '@palimpsest/block-device';

export const COMPAT_JOURNAL = 0x4;
export const COMPAT_XATTR = 0x8;
export const COMPAT_RESIZE = 0x10;
export const COMPAT_INDEX = 0x20;
export const COMPAT_SPARSE_SUPER2 = 0x200;
export const COMPAT_ORPHAN_FILE = 0x1000;

export const INCOMPAT_FILETYPE = 0x2;
export const INCOMPAT_RECOVER = 0x4;
export const INCOMPAT_EXTENTS = 0x40;
export const INCOMPAT_64BIT = 0x80;
export const INCOMPAT_FLEX_BG = 0x200;
export const INCOMPAT_CSUM_SEED = 0x2000;
export const INCOMPAT_INLINE_DATA = 0x8000;

export const RO_SPARSE_SUPER = 0x1;
export const RO_LARGE_FILE = 0x2;
export const RO_HUGE_FILE = 0x8;
export const RO_UNINIT_BG = 0x10;
export const RO_DIR_NLINK = 0x20;
export const RO_EXTRA_ISIZE = 0x40;
export const RO_QUOTA = 0x100;
export const RO_METADATA_CSUM = 0x400;

/** Bit, name as mke2fs knows it, and whether we `read` or also `write` images with it. */
type Feature = readonly [bit: number, name: string, use: 'no' | 'read' | 'write'];

const INCOMPATIBLE: readonly Feature[] = [
  [0x1, 'compression', 'no'],
  [INCOMPAT_FILETYPE, 'filetype', 'write'],
  [INCOMPAT_RECOVER, 'needs_recovery', 'write'],
  [0x8, 'journal_dev', 'no'],
  [0x10, 'meta_bg', 'no'],
  [INCOMPAT_EXTENTS, 'extent', 'write'],
  [INCOMPAT_64BIT, '64bit', 'write'],
  [0x100, 'mmp', 'read'],
  [INCOMPAT_FLEX_BG, 'flex_bg', 'write'],
  [0x400, 'ea_inode', 'read'],
  [0x1000, 'dirdata', 'no'],
  [INCOMPAT_CSUM_SEED, 'metadata_csum_seed', 'write'],
  [0x4000, 'large_dir', 'read'],
  [INCOMPAT_INLINE_DATA, 'inline_data', 'read'],
  [0x1_0000, 'encrypt', 'no'],
  [0x2_0000, 'casefold', 'no'],
];

const READ_ONLY_COMPATIBLE: readonly Feature[] = [
  [RO_SPARSE_SUPER, 'sparse_super', 'write'],
  [RO_LARGE_FILE, 'large_file', 'write'],
  [RO_HUGE_FILE, 'huge_file', 'write'],
  [RO_UNINIT_BG, 'uninit_bg', 'read'],
  [RO_DIR_NLINK, 'dir_nlink', 'write'],
  [RO_EXTRA_ISIZE, 'extra_isize', 'write'],
  [0x80, 'snapshot', 'read'],
  [RO_QUOTA, 'quota', 'read'],
  [0x200, 'bigalloc', 'read'],
  [RO_METADATA_CSUM, 'metadata_csum', 'write'],
  [0x800, 'replica', 'read'],
  [0x1000, 'read-only', 'read'],
  [0x2000, 'project', 'read'],
  [0x8000, 'verity', 'read'],
  [0x1_0000, 'orphan_present', 'read'],
];

/** The features of an image, as its superblock has them. */
export interface FeatureBits {
  readonly compatible: number;
  readonly incompatible: number;
  readonly readOnlyCompatible: number;
}

/** What `format` gives a new image. */
export const FORMAT_FEATURES: FeatureBits = {
  compatible: COMPAT_JOURNAL | COMPAT_XATTR,
  incompatible: INCOMPAT_FILETYPE | INCOMPAT_EXTENTS,
  readOnlyCompatible: RO_SPARSE_SUPER | RO_LARGE_FILE | RO_DIR_NLINK | RO_EXTRA_ISIZE,
};

/** @throws {StorageError} ERR_FORMAT with the names of features that forbid reading (F1). */
export function assertReadable({ incompatible }: FeatureBits): void {
  const bad = named(incompatible, INCOMPATIBLE, (use) => use === 'no');
  if (bad.length > 0) {
    throw new StorageError('ERR_FORMAT', `the image uses ${bad.join(', ')}, not known here`);
  }
}

/** Why an image with these features is opened for reading only (F2); undefined if it need not be. */
export function writeObstacle(bits: FeatureBits): string | undefined {
  const names = [
    ...named(bits.incompatible, INCOMPATIBLE, (use) => use !== 'write'),
    ...named(bits.readOnlyCompatible, READ_ONLY_COMPATIBLE, (use) => use !== 'write'),
  ];
  if (names.length > 0) return `the image uses ${names.join(', ')}`;
  if ((bits.compatible & COMPAT_JOURNAL) === 0) return 'the image has no journal';
  if ((bits.incompatible & INCOMPAT_EXTENTS) === 0) return 'the image has no extents';
  if ((bits.incompatible & INCOMPAT_FILETYPE) === 0) return 'the image has no file types in names';
  return undefined;
}

function named(
  bits: number,
  table: readonly Feature[],
  chosen: (use: Feature[2]) => boolean,
): string[] {
  const found: string[] = [];
  for (let place = 0; place < 32; place++) {
    const bit = 2 ** place;
    if ((bits & bit) === 0) continue;
    const [, name, use] = table.find((each) => each[0] === bit) ?? [bit, `feature ${bit}`, 'no'];
    if (chosen(use)) found.push(name);
  }
  return found;
}
