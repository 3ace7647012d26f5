/**
 * The parts that an open file system is made of, and how it came to be open.
 */
import type { Directories } from './directories.js';
import type { FileData } from './file-data.js';
import type { FileReader } from './file-read.js';
import type { Image } from './image.js';
import type { Inodes } from './inodes.js';
import type { Names } from './names.js';
import type { OpenInodes } from './open-inodes.js';
import type { Renaming } from './renaming.js';
import type { SuperState } from './super-state.js';

/** Calls back once after so many milliseconds, unless the answered function is called before. */
export type Timer = (callback: () => void, milliseconds: number) => () => void;

/** How a file system came to be open. */
export interface OpenReport {
  /** Transactions that the journal held. */
  readonly replayed: number;
  /** Why it is read-only, if it is. */
  readonly readOnlyReason: string | undefined;
  /** Files that a crash left to be removed or shortened. */
  readonly orphans: number;
}

/** The parts of an open image. */
export interface FileSystemParts {
  readonly image: Image;
  readonly inodes: Inodes;
  readonly names: Names;
  readonly renaming: Renaming;
  readonly directories: Directories;
  readonly data: FileData;
  readonly reader: FileReader;
  readonly open: OpenInodes;
  readonly superState: SuperState;
  readonly report: OpenReport;
  readonly timer: Timer | undefined;
  readonly commitMs: number;
  readonly closeDevice: boolean;
}
