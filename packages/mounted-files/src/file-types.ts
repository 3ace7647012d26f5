/** What is said of files to a store's file systems, and by them: plain data. Sizes are bytes. */
import type { FileType } from '@palimpsest/toyfs';

/** A path on a volume, snapshot or branch. */
export interface FilePlace {
  readonly reference: string;
  /** From the root, with or without a slash before it. */
  readonly path: string;
  /** Of a disk with partitions: which, from 1. */
  readonly partition?: number;
}

/** Where something is copied to. */
export interface CopyTarget extends FilePlace {
  /** What it is called in the directory that `path` is; without one, `path` is its own name. */
  readonly name: string;
  /** Refuse when `path` is no directory, as several things are copied there. @default false */
  readonly intoDirectory?: boolean;
}

/** A file, told. */
export interface FileInfo {
  /** From the root, with a slash before each name. */
  readonly path: string;
  readonly name: string;
  readonly type: FileType;
  /** Permission bits. */
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** What it takes on the device. */
  readonly allocated: number;
  /** RFC 3339. */
  readonly modifiedAt: string;
  /** Of a symbolic link. */
  readonly target?: string;
}

/** The space of a file system. */
export interface FileSpace {
  readonly reference: string;
  readonly label: string;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly inodes: number;
  readonly freeInodes: number;
  /** Why it is only read, where it is. */
  readonly readOnly?: string;
}

/** A path that is not the same in two states. */
export interface FileChange {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly path: string;
}

/** What was copied. */
export interface CopyInfo {
  readonly files: number;
  readonly directories: number;
  readonly links: number;
  /** Bytes of data; holes do not count. */
  readonly bytes: number;
  /** Paths of what could not be made where it was copied to. */
  readonly leftOut: readonly string[];
}

/** One thing of a tree. Names are bytes: strings have a character for each byte (`latin1`). */
export interface TreeEntry {
  readonly kind: 'entry';
  /** From the tree's own root, which is empty; after that of the directory that it is in. */
  readonly path: string;
  readonly type: FileType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Nanoseconds since 1970. */
  readonly atime: bigint;
  readonly mtime: bigint;
  /** Of a symbolic link: its target. */
  readonly target?: string;
  /** Of a device file. */
  readonly rdev?: number;
  /** The path of an earlier entry that this is one more name of. */
  readonly link?: string;
  /** Names and values; values in `latin1` too. */
  readonly xattrs?: readonly (readonly [string, string])[];
}

/** Bytes of the file whose entry came last; what is between them is a hole. */
export interface TreeData {
  readonly kind: 'data';
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** A tree of files, part by part. */
export type TreePart = TreeEntry | TreeData;

/** What there was before a file system was made over it, and that one. */
export interface FormatInfo {
  readonly reference: string;
  /** What was, or would be, written over: for people. */
  readonly before: string;
  readonly sizeBytes: number;
  /** True when nothing was done. */
  readonly dryRun: boolean;
}

/** What is wrong with a file system. */
export interface CheckFinding {
  readonly code: string;
  /** `fatal`: it cannot be opened. `error`: something is lost. `warning`: a count or a mark is wrong. */
  readonly severity: 'fatal' | 'error' | 'warning';
  /** A sentence for people. */
  readonly message: string;
  /** A name of the file concerned, where one is known. */
  readonly path?: string;
}

/** What was found by looking through a whole file system. */
export interface CheckInfo {
  readonly reference: string;
  readonly findings: readonly CheckFinding[];
}

/** What people do with files, on any reference of a store. What resolves is durable. */
export interface FileVerbs {
  /**
   * Makes an empty file system.
   * @throws {StorageError} ERR_EXISTS when there is something and not `overwrite`; ERR_READ_ONLY;
   * ERR_IN_USE; ERR_INVALID for less than 8 MiB
   */
  format(
    reference: string,
    options?: {
      readonly partition?: number;
      readonly label?: string;
      readonly overwrite?: boolean;
      readonly dryRun?: boolean;
    },
  ): Promise<FormatInfo>;
  /** What a directory holds, by name, and what is below it if `recursive`; or the one file. */
  list(place: FilePlace, options?: { readonly recursive?: boolean }): AsyncIterable<FileInfo>;
  /** What is at a path; symbolic links at its end are followed. */
  stat(place: FilePlace): Promise<FileInfo>;
  /**
   * A file as a tree of one, or a directory and all below it if `recursive`.
   * @throws {FileError} EISDIR for a directory without it
   */
  read(
    place: FilePlace,
    options?: { readonly recursive?: boolean; readonly follow?: boolean },
  ): AsyncIterable<TreePart>;
  /** Makes a tree. Directories that are there stay, and get what the tree has. */
  write(target: CopyTarget, tree: AsyncIterable<TreePart>): Promise<CopyInfo>;
  /** `read` and `write` in one. @throws {FileError} EINVAL for a directory into itself */
  copy(
    from: FilePlace,
    to: CopyTarget,
    options?: { readonly recursive?: boolean },
  ): Promise<CopyInfo>;
  makeDirectory(place: FilePlace, options?: { readonly parents?: boolean }): Promise<void>;
  /** @throws {FileError} EISDIR for a directory without `recursive`; ENOENT unless `force` */
  remove(
    place: FilePlace,
    options?: { readonly recursive?: boolean; readonly force?: boolean },
  ): Promise<void>;
  /** Into `path` when that is a directory. @throws {FileError} EXDEV between two file systems */
  move(from: FilePlace, to: FilePlace): Promise<void>;
  space(reference: string, options?: { readonly partition?: number }): Promise<FileSpace>;
  /** Looks through all of a file system, and changes nothing. */
  check(reference: string, options?: { readonly partition?: number }): Promise<CheckInfo>;
  /** What is not the same, on the way from one state to the other. */
  diff(
    before: string,
    after: string,
    options?: { readonly partition?: number },
  ): AsyncIterable<FileChange>;
}
