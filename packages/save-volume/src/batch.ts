/**
 * Batch: the changes of one commit, gathered before it is known where their bytes will lie. It
 * becomes one journal record. Everything in a batch becomes durable, and visible, at once.
 */

import { StorageError } from '@palimpsest/block-device';
import { identitySeed, checksum as sumOf } from '@palimpsest/bytes';
import { writeEntry } from './entries.js';
import { EntryList } from './entry-list.js';
import { BENEATH, ENTRY, FREE, MOVE, OBJECT, PUT, REMOVE, ZERO } from './format.js';
import type { MapEntry } from './pending-map.js';

/** A block whose bytes the commit must store. */
export interface NewBlock {
  readonly space: number;
  readonly block: number;
  readonly version: number;
  readonly data: Uint8Array;
  readonly checksum: number;
}

/** An entry of the map that the commit sets or removes, its place known. */
export interface MapChange {
  readonly space: number;
  readonly block: number;
  readonly entry: MapEntry;
  /** PUT, MOVE or REMOVE. */
  readonly kind: number;
}

/** How much a batch has of each kind. */
export interface BatchMark {
  readonly newBlocks: number;
  readonly changes: number;
  readonly freed: number;
  readonly objects: number;
  readonly bodyBytes: number;
}

/** The checksum of a block's bytes, bound to whose they are. */
export function blockChecksum(space: number, block: number, data: Uint8Array): number {
  return sumOf(data, identitySeed(space, block));
}

/** Blocks put into a batch in one turn of the event loop: their checksums take what a request takes. */
export const PUTS_A_TURN = 8;

const NOWHERE: MapEntry = { version: 0, address: 0, flags: 0, checksum: 0 };

/** See the file header. */
export class Batch {
  readonly newBlocks: NewBlock[] = [];
  readonly changes: MapChange[] = [];
  readonly freed: number[] = [];
  readonly objects: { id: number; bytes: Uint8Array | undefined }[] = [];
  readonly #limit: number;
  #bodyBytes = 0;

  /** `limit`: bytes of operations that fit in one record. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get empty(): boolean {
    return this.#bodyBytes === 0;
  }

  /** Bytes the operations take in the journal. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** Tells whether `operations` more surely fit. */
  hasRoom(operations = 1): boolean {
    return this.#bodyBytes + operations * ENTRY.size <= this.#limit;
  }

  /** Stores `data`, one block, as that block of that version. `data` must not change meanwhile. */
  put(space: number, block: number, version: number, data: Uint8Array): void {
    this.#grow(1);
    this.newBlocks.push({
      space,
      block,
      version,
      data,
      checksum: blockChecksum(space, block, data),
    });
  }

  /** Says that the block of that version is zeros. */
  putZero(space: number, block: number, version: number): void {
    this.#grow(1);
    this.changes.push({ space, block, entry: { ...NOWHERE, version, flags: ZERO }, kind: PUT });
  }

  /** Says that the block of that version is read from what lies beneath the space (E2). */
  putBeneath(space: number, block: number, version: number): void {
    this.#grow(1);
    this.changes.push({ space, block, entry: { ...NOWHERE, version, flags: BENEATH }, kind: PUT });
  }

  /** Sets an entry whose bytes are stored already. */
  set(space: number, block: number, entry: MapEntry): void {
    this.#grow(1);
    this.changes.push({ space, block, entry, kind: MOVE });
  }

  /** Takes an entry out of the map; its block, if it has one, must be freed or set elsewhere. */
  remove(space: number, block: number, version: number): void {
    this.#grow(1);
    this.changes.push({ space, block, entry: { ...NOWHERE, version }, kind: REMOVE });
  }

  /** Gives the block at `address` back once the batch is durable. */
  free(address: number): void {
    this.#grow(1);
    this.freed.push(address);
  }

  /**
   * Sets an object's bytes, or deletes it.
   * @throws {StorageError} ERR_INVALID when it is larger than the journal can take.
   */
  object(id: number, bytes: Uint8Array | undefined): void {
    const operations = 1 + Math.ceil((bytes?.length ?? 0) / ENTRY.size);
    if (operations * ENTRY.size > this.#limit) {
      throw new StorageError(
        'ERR_INVALID',
        `an object of ${bytes?.length} bytes is too large: at most ${this.#limit - ENTRY.size}`,
      );
    }
    this.#grow(operations);
    this.objects.push({ id, bytes });
  }

  /** True when entries of the map are changed, not only objects. */
  get changesMap(): boolean {
    return this.newBlocks.length + this.changes.length + this.freed.length > 0;
  }

  /** Where the batch is now; what comes after it can be taken back. */
  mark(): BatchMark {
    return {
      newBlocks: this.newBlocks.length,
      changes: this.changes.length,
      freed: this.freed.length,
      objects: this.objects.length,
      bodyBytes: this.#bodyBytes,
    };
  }

  /** Takes back all that came after `mark`. */
  takeBack(mark: BatchMark): void {
    this.newBlocks.length = mark.newBlocks;
    this.changes.length = mark.changes;
    this.freed.length = mark.freed;
    this.objects.length = mark.objects;
    this.#bodyBytes = mark.bodyBytes;
  }

  /** The record's body. `addresses` has a place for each new block, in order. */
  encode(addresses: readonly number[]): Uint8Array {
    const list = new EntryList(ENTRY.size, this.#bodyBytes / ENTRY.size);
    for (const [index, put] of this.newBlocks.entries()) {
      const entry = {
        version: put.version,
        address: addresses[index] as number,
        flags: 0,
        checksum: put.checksum,
      };
      writeEntry(list, put.space, put.block, entry, PUT);
    }
    for (const { space, block, entry, kind } of this.changes) {
      writeEntry(list, space, block, entry, kind);
    }
    for (const address of this.freed) {
      writeEntry(list, 0, 1, { ...NOWHERE, address }, FREE);
    }
    for (const { id, bytes } of this.objects) {
      writeEntry(list, 0, id, { ...NOWHERE, version: bytes?.length ?? 0 }, OBJECT);
      if (bytes === undefined) continue;
      const padded = new Uint8Array(Math.ceil(bytes.length / ENTRY.size) * ENTRY.size);
      padded.set(bytes);
      list.append(padded, 0, padded.length / ENTRY.size);
    }
    return list.bytes.subarray(0, list.count * ENTRY.size);
  }

  #grow(operations: number): void {
    this.#bodyBytes += operations * ENTRY.size;
  }
}
