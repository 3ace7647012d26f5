/**
 * Vfs: a file system as inodes, which is what FUSE, NFS and 9P speak and what the path-level API
 * stands on. Inodes are numbers, names are bytes, and nobody is asked for permission: whoever
 * translates for a user checks `mode`, `uid` and `gid` first (see `mayAccess`).
 *
 *   V1  A change happens wholly or not at all: whatever it throws, nothing was changed. Long ones
 *       (truncating, punching, allocating, writing much) go in steps, each of them whole; what they
 *       leave undone when they throw is a later part.
 *   V2  What resolved is visible to everyone. It is durable after `fsync` of the inode or `sync`, in
 *       the order it was made: a later change is never durable without an earlier one.
 *   V3  A number stays that inode's while it has links or is open; `generation` tells a reused number.
 *   V4  After a failed write of metadata every change answers EROFS and every `fsync` EIO, until the
 *       file system is opened again; reads go on.
 *
 * Results are Answers: a value when it is known already, a promise else. `await` takes both.
 * Times are nanoseconds since 1970 as bigint; sizes and offsets are bytes, safe integers.
 */

/** A value, or a promise of it where blocks have to be read first. Always fit for `await`. */
export type Answer<T> = T | Promise<T>;

/** What an inode is. */
export type FileType =
  | 'file'
  | 'directory'
  | 'symlink'
  | 'character-device'
  | 'block-device'
  | 'fifo'
  | 'socket';

/** The root directory's inode number. */
export const ROOT_INO = 2;
/** Bytes in a name at most. */
export const NAME_MAX = 255;
/** Bytes in a symbolic link's target at most. */
export const SYMLINK_MAX = 4095;

/** What `getattr` knows of an inode, at one instant. */
export interface Attributes {
  readonly ino: number;
  /** Differs from that of an earlier inode with the same number. 32 bits. */
  readonly generation: number;
  readonly type: FileType;
  /** Permission, set-id and sticky bits: `0o7777` at most, without the type. */
  readonly mode: number;
  /** Names of the inode. 1 for a directory that has too many subdirectories to count. */
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  /** The device that a device file stands for, as Linux packs it into 32 bits; 0 otherwise. */
  readonly rdev: number;
  /** Bytes. */
  readonly size: number;
  /** Bytes on the device: blocks of data, of the block map and of xattrs. */
  readonly allocated: number;
  readonly atime: bigint;
  readonly mtime: bigint;
  readonly ctime: bigint;
  /** 0 where the image does not keep it. */
  readonly birthtime: bigint;
}

/** What `setattr` changes; what is left out stays. `ctime` becomes now. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Truncates, or extends with a hole. Files only. */
  readonly size?: number;
  readonly atime?: bigint;
  readonly mtime?: bigint;
}

/** What a new inode gets. Times become now. */
export interface NewInode {
  /** Permission bits, `0o7777` at most. The caller has applied its umask. */
  readonly mode: number;
  /** @default 0 */
  readonly uid?: number;
  /** @default 0; a set-group-id parent directory gives its own */
  readonly gid?: number;
}

/** One name in a directory. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly ino: number;
  /** From the directory's record; undefined where the image does not keep types there. */
  readonly type: FileType | undefined;
  /** Pass it to `readdir` to go on after this entry. Survives changes of the directory and restarts. */
  readonly cookie: number;
}

/** The space of a file system. */
export interface FsStatistics {
  /** Bytes in a block. */
  readonly blockSize: number;
  /** Blocks for files and their metadata: without those the format itself takes. */
  readonly blocks: number;
  readonly freeBlocks: number;
  readonly inodes: number;
  readonly freeInodes: number;
  readonly uuid: Uint8Array;
  readonly label: string;
}

/** How `rename` treats a name that is taken. */
export interface RenameOptions {
  /** Refuse with EEXIST. @default false: replace it */
  readonly noReplace?: boolean;
  /** Exchange the two; both must exist. @default false */
  readonly exchange?: boolean;
}

/** Told to listeners after a change was made, in order. */
export interface FsEvent {
  readonly kind: 'create' | 'remove' | 'rename' | 'data' | 'attributes';
  /** The inode that was changed. */
  readonly ino: number;
  /** The directory and the name, where the change was of a name. For a rename: the new ones. */
  readonly parent?: number;
  readonly name?: Uint8Array;
  /** The old ones, for a rename. */
  readonly oldParent?: number;
  readonly oldName?: Uint8Array;
}

/**
 * A file system at the inode level. Every method throws (or rejects with) FsError. All throw ENOENT
 * for an inode number that is free, and EIO for one that makes no sense.
 */
export interface Vfs {
  /** True when every change is refused with EROFS. */
  readonly readOnly: boolean;

  /**
   * The inode that `name` stands for in directory `parent`; `.` and `..` too.
   * @throws {FsError} ENOENT, ENOTDIR, ENAMETOOLONG
   */
  lookup(parent: number, name: Uint8Array): Answer<number>;
  /**
   * What `name` stands for in directory `parent`, both at one instant; undefined when it stands for nothing.
   * @throws {FsError} ENOTDIR, ENAMETOOLONG
   */
  find(parent: number, name: Uint8Array): Answer<Attributes | undefined>;
  getattr(ino: number): Answer<Attributes>;
  /** Changes attributes and answers the new ones. @throws {FsError} EISDIR or EINVAL for `size`; EFBIG */
  setattr(ino: number, changes: AttributeChanges): Answer<Attributes>;

  /** Makes an empty file and answers its number. @throws {FsError} EEXIST, ENOSPC, ENAMETOOLONG */
  create(parent: number, name: Uint8Array, inode: NewInode): Answer<number>;
  /** Makes an empty directory. @throws {FsError} as `create`, EMLINK */
  mkdir(parent: number, name: Uint8Array, inode: NewInode): Answer<number>;
  /** Makes a device file, a fifo or a socket. `rdev` as in Attributes. @throws {FsError} as `create` */
  mknod(
    parent: number,
    name: Uint8Array,
    inode: NewInode & { readonly type: FileType; readonly rdev?: number },
  ): Answer<number>;
  /** Makes a symbolic link. @throws {FsError} as `create`; ENAMETOOLONG for the target; EINVAL if empty */
  symlink(
    parent: number,
    name: Uint8Array,
    target: Uint8Array,
    inode: Omit<NewInode, 'mode'>,
  ): Answer<number>;
  /** The target of a symbolic link. @throws {FsError} EINVAL for anything else */
  readlink(ino: number): Answer<Uint8Array>;
  /** Gives `ino` one more name. @throws {FsError} EPERM for a directory, EMLINK, EEXIST */
  link(ino: number, parent: number, name: Uint8Array): Answer<void>;
  /** Removes a name that is no directory's. The inode goes with its last name, once it is not open. */
  unlink(parent: number, name: Uint8Array): Answer<void>;
  /** Removes an empty directory. @throws {FsError} ENOTEMPTY, ENOTDIR, EINVAL for `.` */
  rmdir(parent: number, name: Uint8Array): Answer<void>;
  /**
   * Gives what is at one name another, replacing what is there, in one step: whoever looks, also
   * after a crash, finds the old or the new, never neither. Two names of one inode: nothing happens.
   * @throws {FsError} EISDIR, ENOTDIR, ENOTEMPTY; EINVAL for a directory into itself; EEXIST
   */
  rename(
    oldParent: number,
    oldName: Uint8Array,
    newParent: number,
    newName: Uint8Array,
    options?: RenameOptions,
  ): Answer<void>;

  /** Keeps the inode although its last name goes, until as many `release` calls. */
  open(ino: number): Answer<void>;
  /** The counterpart of `open`. */
  release(ino: number): Answer<void>;

  /**
   * Reads into `target` from `offset` on; answers how many bytes: fewer only at the file's end.
   * Updates no access time: ask `setattr` for that.
   * @throws {FsError} EISDIR, EINVAL for what is no file
   */
  read(ino: number, target: Uint8Array, offset: number): Answer<number>;
  /**
   * Writes all of `source` at `offset`; beyond the end, what lies between is a hole. The buffer is
   * the caller's again when it resolves. @throws {FsError} ENOSPC, EFBIG, EISDIR
   */
  write(ino: number, source: Uint8Array, offset: number): Answer<void>;
  /**
   * Sets space aside for a range, which reads as zeros where it held nothing; extends the size
   * unless `keepSize`. @throws {FsError} ENOSPC, EFBIG, EOPNOTSUPP without extents
   */
  fallocate(
    ino: number,
    offset: number,
    length: number,
    options?: { readonly keepSize?: boolean },
  ): Answer<void>;
  /** Makes a range read as zeros and gives its whole blocks back. The size stays. */
  punchHole(ino: number, offset: number, length: number): Answer<void>;
  /**
   * The first offset at or after `offset` that is data, or a hole; the end of the file counts as a
   * hole. @throws {FsError} ENXIO at or past the end, or when no data follows
   */
  seek(ino: number, offset: number, what: 'data' | 'hole'): Answer<number>;

  /**
   * Names of a directory in the order of the disk, `.` and `..` among them, from `cookie` on (0 is
   * the beginning): at most `limit`. An empty answer means the end.
   */
  readdir(ino: number, cookie: number, limit: number): Answer<readonly DirectoryEntry[]>;

  /** The value of an xattr; `name` with its prefix, such as `user.colour`. @throws {FsError} ENODATA */
  getXattr(ino: number, name: string): Answer<Uint8Array>;
  /** @throws {FsError} EEXIST, ENODATA as `mode` wants; ENOSPC when it does not fit; EOPNOTSUPP */
  setXattr(ino: number, name: string, value: Uint8Array, mode?: 'create' | 'replace'): Answer<void>;
  listXattrs(ino: number): Answer<readonly string[]>;
  /** @throws {FsError} ENODATA */
  removeXattr(ino: number, name: string): Answer<void>;

  /** Makes the inode, its data and its name durable (V2). @throws {FsError} EIO */
  fsync(ino: number, options?: { readonly dataOnly?: boolean }): Promise<void>;
  /** Makes everything durable (V2). */
  sync(): Promise<void>;
  statfs(): Answer<FsStatistics>;

  /**
   * Stops changes, writes everything out and leaves the device as a clean image, durable. Changes
   * asked for meanwhile wait for `thaw`; those that wait for longer than the deadline get EBUSY.
   * @throws {FsError} EBUSY when it is frozen already
   */
  freeze(options?: FreezeOptions): Promise<void>;
  /** Lets changes go on. Harmless when not frozen. */
  thaw(): Promise<void>;

  /** Calls `listener` after each change made here, until the answered function is called. */
  watch(listener: (event: FsEvent) => void): () => void;

  /** Writes everything out, leaves a clean image, and answers every later call with ESTALE. */
  close(): Promise<void>;
}

/** How long a freeze may last. */
export interface FreezeOptions {
  /**
   * Milliseconds after which the file system thaws by itself, so that a forgotten freeze harms
   * nobody. Needs the timer of the open options. @default no deadline
   */
  readonly deadlineMs?: number;
}
