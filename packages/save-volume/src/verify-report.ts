/**
 * What an audit of a save volume is asked for, and what it found.
 */

/** What an audit found. Nothing in `problems` means all is well. */
export interface VerifyReport {
  /** What is wrong, in words; objects are named by number. */
  readonly problems: readonly string[];
  /** Objects whose blocks cannot all be read, in order; those of layers above know their names. */
  readonly objects: readonly number[];
  /** Pages of the trees. */
  readonly pages: number;
  /** Entries of the block map. */
  readonly entries: number;
  /** Blocks in use, and how many of them someone owns. */
  readonly usedBlocks: number;
  readonly ownedBlocks: number;
}

/** A place between two blocks, to go on from after a restart. */
export interface VerifyCursor {
  readonly space: number;
  readonly block: number;
}

/** How to audit. */
export interface VerifyOptions {
  /** Read saved blocks too. @default false: pages only */
  readonly data?: boolean;
  /** Awaited between slices with the bytes that the last one read: slows the audit down. */
  readonly pace?: (bytes: number) => Promise<void>;
  /** Hears how many entries were looked at, of about how many, and where to go on from. */
  readonly onProgress?: (done: number, total: number, cursor: VerifyCursor) => void;
  /** Ends it between two slices; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Goes on from there. Owners are not counted then: that takes a whole pass. */
  readonly from?: VerifyCursor;
}
