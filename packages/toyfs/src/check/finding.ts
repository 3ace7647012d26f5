/**
 * Findings: what `check` tells. The code says what kind of thing is wrong and never changes its
 * meaning; the message is for people and may.
 */

/** How bad a kind of finding is: see `Finding.severity`. */
export type Severity = 'fatal' | 'error' | 'warning';

/** What is wrong: `FINDING_MEANINGS` says what each stands for. */
export type FindingCode =
  | 'superblock'
  | 'feature'
  | 'journal'
  | 'descriptor'
  | 'checksum'
  | 'inode'
  | 'deleted'
  | 'map'
  | 'outside'
  | 'shared'
  | 'blocks'
  | 'size'
  | 'hole'
  | 'symlink'
  | 'record'
  | 'dots'
  | 'name'
  | 'twice'
  | 'target'
  | 'type'
  | 'parents'
  | 'index'
  | 'unreachable'
  | 'links'
  | 'xattr'
  | 'references'
  | 'block-free'
  | 'block-lost'
  | 'inode-free'
  | 'inode-lost'
  | 'padding'
  | 'counts'
  | 'orphans'
  | 'resize'
  | 'more';

/** Every code, how bad it is, and what it says. */
const CODES: Readonly<Record<FindingCode, readonly [severity: Severity, meaning: string]>> = {
  superblock: [
    'fatal',
    'the superblock is missing, or its numbers contradict each other or the device',
  ],
  feature: ['fatal', 'the image uses a feature that is not known here'],
  journal: ['error', 'the journal, or its inode, makes no sense'],
  descriptor: ['error', 'a group descriptor makes no sense'],
  checksum: ['error', 'a checksum does not fit'],
  inode: ['error', 'a field of an inode in use makes no sense'],
  deleted: ['error', 'an inode in use has a time of deletion, or one without names has none'],
  map: ['error', "a file's tree of extents, or its block numbers, are out of order or damaged"],
  outside: ['error', "a file's block is not on the device"],
  shared: ['error', 'a block belongs to two'],
  blocks: ['warning', "an inode's count of blocks is wrong"],
  size: ['error', "a file's size does not go with its blocks"],
  hole: ['error', 'a directory has a hole, or no blocks'],
  symlink: ['error', "a symbolic link's target and size do not fit"],
  record: ['error', 'a record of a directory is damaged'],
  dots: ['error', "a directory's first names are not `.` and `..`, or lead elsewhere"],
  name: ['error', 'a name has bytes that no name has, or none'],
  twice: ['error', 'a directory has a name twice'],
  target: ['error', 'a name leads to an inode that is not in use'],
  type: ['error', 'a name says another type than its inode'],
  parents: ['error', 'a directory has two parents, or is its own ancestor'],
  index: ['error', "a directory's hash index is damaged"],
  unreachable: ['error', 'an inode is in use, and no name leads to it'],
  links: ['error', 'an inode has another number of names than it says'],
  xattr: ['error', 'xattrs are damaged'],
  references: ['error', 'a block of xattrs is used by another number of inodes than it says'],
  'block-free': ['error', 'blocks are in use, and marked free'],
  'block-lost': ['warning', 'blocks are marked used, and nothing has them'],
  'inode-free': ['error', 'inodes are in use, and marked free'],
  'inode-lost': ['warning', 'inodes are marked used, and are not'],
  padding: ['warning', 'bits beyond the end of a bitmap are clear'],
  counts: ['warning', 'a count of free blocks, free inodes or directories is wrong'],
  orphans: ['error', 'the list of orphans is damaged'],
  resize: ['error', 'the inode that keeps blocks for more descriptors is damaged'],
  more: ['warning', 'there is more than was asked for'],
};

/** One thing that is wrong. */
export interface Finding {
  readonly code: FindingCode;
  /**
   * `fatal`: the image cannot be opened. `error`: something is lost, or would be if the image were
   * written. `warning`: only a count or a mark is wrong, or space is lost.
   */
  readonly severity: Severity;
  /** A sentence for people. */
  readonly message: string;
  /** The inode concerned. */
  readonly ino?: number;
  /** The block of the image concerned: the first, where there are several. */
  readonly block?: number;
  /** A name of that inode, where one was found. */
  readonly path?: string;
}

/** Where a finding is. */
export interface Place {
  readonly ino?: number;
  readonly block?: number;
}

/** What each code says, for those who print a legend. */
export const FINDING_MEANINGS: Readonly<Record<FindingCode, string>> = Object.fromEntries(
  Object.entries(CODES).map(([code, [, meaning]]) => [code, meaning]),
) as Record<FindingCode, string>;

/** Findings in the order in which they were made, up to a limit. */
export class Findings {
  readonly #limit: number;
  readonly #list: Finding[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  get list(): readonly Finding[] {
    return this.#list;
  }

  /** Whether no more are taken: whoever makes them may stop. */
  get isFull(): boolean {
    return this.#list.length > this.#limit;
  }

  add(code: FindingCode, message: string, place: Place = {}): void {
    if (this.isFull) return;
    const isLast = this.#list.length === this.#limit;
    if (isLast) this.#push('more', `there are more than ${this.#limit} findings`, {});
    else this.#push(code, message, place);
  }

  #push(code: FindingCode, message: string, place: Place): void {
    this.#list.push({ code, severity: CODES[code][0], message, ...place });
  }
}
