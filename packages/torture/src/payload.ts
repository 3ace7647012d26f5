/**
 * Payload: bytes that say where they come from. Each sector a test writes holds the number of the
 * write and the sector's place, and a fill drawn from both; so any 512 bytes read anywhere tell
 * which write they are of, or that nobody ever wrote them.
 */

/** Bytes in a sector: what the model keeps track of. */
export const SECTOR = 512;
/** What `identify` answers for bytes that no write ever wrote. */
export const GARBAGE = -1;

const WORDS = SECTOR / 4;
/** Sectors as they were written, so that each is made once. */
const made = new Map<number, Int32Array>();
const MADE_MAX = 20_000;
/** More than a volume has. */
const SECTORS_MAX = 2 ** 20;

/** Fills `target`, whole sectors of which the first is sector `first`, as write `id` does. */
export function fillPayload(target: Uint8Array, id: number, first: number): void {
  const words = new Int32Array(target.buffer, target.byteOffset, target.length / 4);
  for (let sector = 0; sector < target.length / SECTOR; sector++) {
    fillSector(words, sector * WORDS, id, first + sector);
  }
}

/** The write that `bytes`, sector by sector from sector `first`, come from; 0 stands for zeros. */
export function identify(bytes: Uint8Array, first: number): Int32Array {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const ids = new Int32Array(bytes.length / SECTOR);
  for (let sector = 0; sector < ids.length; sector++) {
    ids[sector] = identifySector(words, sector * WORDS, first + sector);
  }
  return ids;
}

function identifySector(words: Int32Array, at: number, sector: number): number {
  const id = words[at] as number;
  if (id === 0) {
    for (let index = 0; index < WORDS; index++) if (words[at + index] !== 0) return GARBAGE;
    return 0;
  }
  const expected = sectorOf(id, sector);
  for (let index = 0; index < WORDS; index++) {
    if (words[at + index] !== expected[index]) return GARBAGE;
  }
  return id;
}

function sectorOf(id: number, sector: number): Int32Array {
  const key = id * SECTORS_MAX + sector;
  let words = made.get(key);
  if (words === undefined) {
    if (made.size >= MADE_MAX) made.clear();
    words = new Int32Array(WORDS);
    fillSector(words, 0, id, sector);
    made.set(key, words);
  }
  return words;
}

function fillSector(words: Int32Array, at: number, id: number, sector: number): void {
  words[at] = id;
  words[at + 1] = sector;
  let value = (Math.imul(id, 0x9e3779b1) ^ Math.imul(sector + 1, 0x85ebca6b)) | 1;
  for (let index = 2; index < WORDS; index++) {
    value ^= value << 13;
    value ^= value >>> 17;
    value ^= value << 5;
    words[at + index] = value;
  }
}
