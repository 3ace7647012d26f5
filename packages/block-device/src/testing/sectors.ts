/**
 * Sectors: what a simulated disk holds, 512 bytes at a time. A sector is immutable and shared by
 * every image that holds it, so a fork of a whole disk costs a few array copies, and the hash of
 * all of a disk's content is kept up to date at each change rather than computed.
 */

/** The atom of a disk: the largest piece a crash never tears (unless a tear mode says so). */
export const SECTOR = 512;

/** 512 bytes that never change, and two independent 32-bit hashes of them. */
export interface Sector {
  readonly bytes: Uint8Array;
  readonly a: number;
  readonly b: number;
}

/** Sectors in a page, the unit that is copied when one of two forks changes. */
const PAGE = 64;

interface Page {
  /** The store that may change the page in place; any other copies it first. */
  owner: object;
  readonly sectors: (Sector | undefined)[];
}

/** Cuts a copy of `source` into sectors; a sector of zeros is `undefined`. */
export function cut(source: Uint8Array): (Sector | undefined)[] {
  const copy = new Uint8Array(source); // one copy for all: the sectors are views of it
  const words = new Int32Array(copy.buffer);
  const sectors: (Sector | undefined)[] = [];
  for (let start = 0; start < copy.length; start += SECTOR) {
    sectors.push(sectorOf(copy, words, start));
  }
  return sectors;
}

function sectorOf(copy: Uint8Array, words: Int32Array, start: number): Sector | undefined {
  let a = 0x811c9dc5 | 0;
  let b = 0x2f0b4a27 | 0;
  let any = 0;
  const first = start / 4;
  for (let index = first; index < first + SECTOR / 4; index++) {
    const word = words[index] as number;
    any |= word;
    a = Math.imul(a ^ word, 0x01000193);
    a ^= a >>> 15;
    b = (Math.imul(b, 0x9e3779b1) + word) | 0;
    b ^= b >>> 13;
  }
  return any === 0 ? undefined : { bytes: copy.subarray(start, start + SECTOR), a, b };
}

/** The content of one disk. */
export class SectorStore {
  size: number;
  /** Sums over all sectors of hashes that bind content and place; equal content, equal sums. */
  a = 0;
  b = 0;
  #pages: Map<number, Page>;
  #token: object = {};

  constructor(size: number, pages: Map<number, Page> = new Map()) {
    this.size = size;
    this.#pages = pages;
  }

  /** The sector at `index`, `undefined` when it is zeros. */
  get(index: number): Sector | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.sectors[index % PAGE];
  }

  set(index: number, sector: Sector | undefined): void {
    const key = Math.floor(index / PAGE);
    let page = this.#pages.get(key);
    if (page === undefined) {
      if (sector === undefined) return;
      page = { owner: this.#token, sectors: new Array(PAGE).fill(undefined) };
      this.#pages.set(key, page);
    } else if (page.owner !== this.#token) {
      page = { owner: this.#token, sectors: page.sectors.slice() };
      this.#pages.set(key, page);
    }
    const old = page.sectors[index % PAGE];
    if (old !== undefined) this.#count(index, old, -1);
    if (sector !== undefined) this.#count(index, sector, 1);
    page.sectors[index % PAGE] = sector;
  }

  /** Changes the size; what was beyond a smaller one is gone. */
  resize(size: number): void {
    if (size < this.size) {
      for (const index of [...this.indices()]) {
        if (index * SECTOR >= size) this.set(index, undefined);
      }
    }
    this.size = size;
  }

  /** The places of all sectors that are not zeros, in no particular order. */
  *indices(): Generator<number> {
    for (const [key, page] of this.#pages) {
      for (let slot = 0; slot < PAGE; slot++) {
        if (page.sectors[slot] !== undefined) yield key * PAGE + slot;
      }
    }
  }

  readInto(target: Uint8Array, position: number): void {
    let index = position / SECTOR;
    for (let done = 0; done < target.length; done += SECTOR, index++) {
      const sector = this.get(index);
      if (sector === undefined) target.fill(0, done, done + SECTOR);
      else target.set(sector.bytes, done);
    }
  }

  /** A store with the same content; neither sees the other's later changes. */
  fork(): SectorStore {
    this.#token = {}; // every page is shared from now on, for this store too
    const copy = new SectorStore(this.size, new Map(this.#pages));
    copy.a = this.a;
    copy.b = this.b;
    return copy;
  }

  #count(index: number, sector: Sector, sign: 1 | -1): void {
    this.a =
      (this.a + sign * Math.imul(sector.a ^ Math.imul(index + 1, 0x85ebca6b), 0x01000193)) | 0;
    this.b =
      (this.b + sign * Math.imul(sector.b ^ Math.imul(index + 7, 0xc2b2ae35), 0x9e3779b1)) | 0;
  }
}
