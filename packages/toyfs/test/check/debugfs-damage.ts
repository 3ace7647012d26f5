/**
 * Damage by debugfs: fields set, bits freed and taken, names made and removed without a word to the
 * rest. Checksums are kept, so that what is wrong is the structure itself. Some changes are in order.
 */
import type { Random } from '@palimpsest/block-device/testing';

const INODE_FIELDS = [
  ...['mode', 'links_count', 'size', 'blocks', 'dtime', 'flags', 'file_acl', 'generation', 'uid'],
  ...[
    'block[0]',
    'block[1]',
    'block[2]',
    'block[3]',
    'block[4]',
    'block[5]',
    'block[12]',
    'block[13]',
  ],
  ...['extra_isize', 'faddr', 'ctime', 'crtime', 'version', 'size_high', 'blocks_high'],
];
const SUPER_FIELDS = [
  ...['free_blocks_count', 'free_inodes_count', 'blocks_count', 'inodes_count', 'first_ino'],
  ...['r_blocks_count', 'reserved_gdt_blocks', 'journal_inum', 'mnt_count', 'inodes_per_group'],
  ...[
    'blocks_per_group',
    'log_cluster_size',
    'first_data_block',
    'checkinterval',
    'errors',
    'desc_size',
  ],
];
const GROUP_FIELDS = [
  ...['free_blocks_count', 'free_inodes_count', 'used_dirs_count', 'flags', 'itable_unused'],
  ...['block_bitmap', 'inode_bitmap', 'inode_table'],
];
const CHANGES = [
  'rm /tiny',
  'mkdir /new',
  'ln /tiny /third',
  'unlink /tiny',
  'unlink /many',
  'rmdir /many',
];

/** What is known of an image. */
export interface Shape {
  readonly blocks: number;
  readonly groups: number;
  readonly inodes: readonly number[];
  readonly inodeCount: number;
}

/** One random command of debugfs. */
export function debugfsDamage(shape: Shape, random: Random): string {
  const ino = random.pick(shape.inodes);
  const block = 1 + random.below(shape.blocks - 1);
  const number = random.pick([
    0,
    1,
    2,
    3,
    5,
    12,
    60,
    4096,
    65_535,
    block,
    block,
    random.below(2 ** 31),
  ]);
  const group = random.below(shape.groups);
  const kind = random.below(10);
  if (kind < 5) return `sif <${ino}> ${random.pick(INODE_FIELDS)} ${number}`;
  if (kind === 5) return `ssv ${random.pick(SUPER_FIELDS)} ${number}`;
  if (kind === 6)
    return `set_bg ${group} ${random.pick(GROUP_FIELDS)} ${number}\nset_bg ${group} checksum calc`;
  if (kind === 7) return `${random.pick(['freeb', 'setb'])} ${block} ${1 + random.below(3)}`;
  if (kind === 8) {
    const any = 1 + random.below(shape.inodeCount);
    return random.pick([`clri <${ino}>`, `freei <${ino}>`, `seti <${any}>`, `ln <${any}> /many/x`]);
  }
  return random.pick(CHANGES);
}
