/** What the store tells of differences and space, and how changes leave and come in. Sizes are bytes. */
import type { OnProgress } from './store-types.js';

/** Bytes from `position` on. */
export interface ByteRange {
  readonly position: number;
  readonly length: number;
}

/** What a volume, snapshot or branch takes of the save volume. */
export interface SpaceInfo {
  readonly reference: string;
  readonly kind: 'volume' | 'snapshot' | 'branch';
  /** What a client sees. */
  readonly logicalBytes: number;
  /** Saved blocks that it needs together with others of its volume or branch. */
  readonly sharedBytes: number;
  /** Saved blocks that it alone needs: what comes back when it is deleted. */
  readonly exclusiveBytes: number;
  /** What a branch may have of its own. */
  readonly quotaBytes?: number;
}

/** What a deletion would give back. */
export interface DeletionGain {
  /** Everything that would go. */
  readonly references: readonly string[];
  /** Of saved blocks, exactly. Pages of the map come back beside them. */
  readonly bytes: number;
}

/** How the save volume fills. */
export interface SpaceForecast {
  readonly usedBytes: number;
  /** What can still be used, growth included; `null` when nothing but the disk limits it. */
  readonly leftBytes: number | null;
  /** What the forecast is made of: how long the use has been watched. */
  readonly observedMs: number;
  /** Growth; negative when it shrinks, `null` before it has been watched long enough. */
  readonly bytesPerDay: number | null;
  /** `null` when it does not grow, or is not limited. */
  readonly fullInDays: number | null;
}

/** How to export. */
export interface ExportOptions {
  /** Reference of the base; everything is exported without one. */
  readonly from?: string;
  /** Leave out what changes before this byte, since the receiver has it. @default 0 */
  readonly startsAt?: number;
  /** Bytes of data after which a receiver can make durable what it has. @default 64 MiB */
  readonly checkpointBytes?: number;
}

/** How to import. */
export interface ImportOptions {
  /** The volume that gets the changes; made when the stream is a whole volume. */
  readonly volume: string;
  /** The name of the snapshot. @default that of the exported one */
  readonly name?: string;
  readonly onProgress?: OnProgress;
}

/** What an import made. */
export interface ImportInfo {
  /** The reference of the snapshot. */
  readonly snapshot: string;
  readonly identity: string;
  /** Data written. */
  readonly dataBytes: number;
  /** Zeroed. */
  readonly zeroBytes: number;
}

/** An import that was begun and has not ended. */
export interface UnfinishedImport {
  readonly volume: string;
  /** Identity of the base, `null` for a whole volume. */
  readonly from: string | null;
  /** Identity of the snapshot that it makes, and its name where it was exported. */
  readonly identity: string;
  readonly name: string;
  /** Everything before this byte is there, durably: where the next stream may start. */
  readonly position: number;
}

/** Verbs for differences, space and exchange. Every one may throw ERR_CLOSED. */
export interface ExchangeVerbs {
  /**
   * Where two states of one volume and its branches may differ, ascending; from metadata alone.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when they are of different volumes.
   */
  diff(a: string, b: string): AsyncIterable<ByteRange>;
  /**
   * In which layer the bytes of a range lie, in order: 1 is what is the reference's own, 2 its base's,
   * and so on down to production; 0 is nowhere. Whole blocks.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  depths(
    reference: string,
    position: number,
    length: number,
  ): Promise<readonly { readonly length: number; readonly depth: number }[]>;
  /**
   * Of everything, or of what is named and what hangs on it.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  spaceOf(references?: readonly string[]): Promise<readonly SpaceInfo[]>;
  /**
   * What deleting all of these together would give back. A volume stands for all that hangs on it.
   * @throws {StorageError} ERR_NOT_FOUND.
   */
  deletionGain(references: readonly string[]): Promise<DeletionGain>;
  /** How the save volume has been filling since the store was opened. */
  forecast(): SpaceForecast;
  /**
   * A snapshot, or what makes it of another one, as a change stream (docs/STREAM.md). Neither can be
   * deleted meanwhile.
   * @throws {StorageError} ERR_NOT_FOUND; ERR_INVALID when it is no snapshot, or the base is of another
   * volume.
   */
  exportChanges(reference: string, options?: ExportOptions): AsyncIterable<Uint8Array>;
  /**
   * Makes the changes of a stream and takes the snapshot that it is of, at its end; until then nothing
   * is to be seen of it, and nobody can open the volume. What was interrupted goes on when the stream
   * comes again, whole or from `unfinishedImports` on.
   * @throws {StorageError} ERR_CORRUPT for a damaged stream; ERR_INVALID when it does not fit here;
   * ERR_IN_USE while the volume is served, or was changed since the base; ERR_EXISTS.
   */
  importChanges(stream: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportInfo>;
  /** Imports that were interrupted, or are under way. */
  unfinishedImports(): readonly UnfinishedImport[];
}
