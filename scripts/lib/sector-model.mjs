/**
 * The reference model of the kill harnesses: which write each sector of a device may hold. A sector is
 * 512 bytes, or more where a harness says so. Every sector written names its write (unique id, sector,
 * volume), so any read tells where it came from. Time is a counter of events in the harness: a call's `invoke` is before the server can know
 * of it, its `answer` after the server has answered, so the model never asks for more than is true.
 *
 *   M1  Visible: a sector reads as a write that no answered, later write has replaced.
 *   M2  Durable: after a crash it reads as a write that no *flushed*, later write has replaced. A
 *       flush covers what was answered before it was sent; FUA covers its own write.
 *   M3  "Later" means sent after the other was answered; writes that overlap in time go either way.
 *   M4  A snapshot is one instant: when it holds a write, it holds (or has something later than)
 *       every write answered before that one was sent.
 */
export const SECTOR = 512;

/** @typedef {{ id: number, device: string, invoke: number, answer: number, zero: boolean }} Write */

/** All writes ever issued, and the clock. */
export class History {
  /** @type {Map<number, Write>} */
  writes = new Map();
  #clock = 0;
  #lastId = 0;

  now() {
    this.#clock += 1;
    return this.#clock;
  }

  get lastId() {
    return this.#lastId;
  }

  /** @returns {Write} */
  begin(device, zero) {
    this.#lastId += 1;
    const write = { id: this.#lastId, device, invoke: this.now(), answer: Infinity, zero };
    this.writes.set(write.id, write);
    return write;
  }
}

/** What was there before any write: zeros, older than everything. */
const NOTHING = { id: 0, device: '', invoke: -1, answer: -1, zero: true };

/** One writable device: for each sector, what may be visible and what may survive. */
export class DeviceModel {
  /** @type {Write[][]} */ visible;
  /** @type {Write[][]} */ surviving;
  /** Writes since the last recovery, for M4. @type {{ write: Write, first: number, count: number }[]} */
  recent = [];

  /**
   * @param {string} name
   * @param {number} sectors
   * @param {readonly Write[]} [content] What each sector holds at first.
   */
  constructor(name, sectors, content) {
    this.name = name;
    this.sectors = sectors;
    this.visible = Array.from({ length: sectors }, (_, i) => [content?.[i] ?? NOTHING]);
    this.surviving = this.visible.map((list) => [...list]);
  }

  /** A write was sent. */
  issued(write, first, count) {
    this.recent.push({ write, first, count });
    for (let s = first; s < first + count; s++) {
      this.visible[s].push(write);
      this.surviving[s].push(write);
    }
  }

  /** A write was answered; with `fua` it is also durable. */
  answered(write, first, count, fua) {
    for (let s = first; s < first + count; s++) {
      this.visible[s] = without(this.visible[s], write);
      if (fua) this.surviving[s] = without(this.surviving[s], write);
    }
  }

  /** A flush sent at `invoke` was answered (M2). */
  flushed(invoke) {
    for (let s = 0; s < this.sectors; s++) {
      const list = this.surviving[s];
      if (list.length === 1) continue;
      for (const write of list) {
        if (write.answer < invoke) this.surviving[s] = without(this.surviving[s], write);
      }
    }
  }

  /** After a crash: what was read, of the first sectors, is what there is; returns the faults. */
  recovered(content) {
    const faults = [];
    for (let s = 0; s < content.length; s++) {
      const fault = allow(content[s], this.surviving[s], s, `${this.name} after the crash`);
      if (fault !== undefined) faults.push(fault);
      this.visible[s] = [content[s].write ?? NOTHING];
      this.surviving[s] = [...this.visible[s]];
    }
    this.recent = [];
    return faults;
  }
}

/** A list without what `write` has replaced for good (M3). */
function without(list, write) {
  return list.filter((other) => other.answer >= write.invoke);
}

/**
 * Why a sector may not read so; undefined when it may. With `since`, writes to the device that were
 * sent after it are allowed too, zeros among them, which do not say their id.
 * @param {Sector} sector
 * @param {readonly Write[]} candidates
 * @param {number} index
 * @param {string} where
 * @param {{ lastId: number, recent: DeviceModel['recent'] }} [since]
 */
export function allow(sector, candidates, index, where, since) {
  if (sector.fault !== undefined) return `${where}: sector ${index}: ${sector.fault}`;
  const { write } = sector;
  const isIt = (other) => (write === undefined ? other.zero : other === write);
  if (candidates.some(isIt)) return undefined;
  const isNew = (each) => isIt(each.write) && each.write.id > since.lastId && covers(each, index);
  if (since?.recent.some(isNew)) return undefined;
  const holds = write === undefined ? 'zeros' : `write ${write.id} of ${write.device}`;
  const may = candidates.map(({ id, zero }) => (zero ? `zeros (${id})` : id)).join(', ');
  return `${where}: sector ${index} holds ${holds}; it may hold ${may}`;
}

/**
 * What a snapshot may hold: `before` is what was visible when it was asked for. Checks M1 for writes
 * that were under way meanwhile, and M4.
 * @param {readonly Sector[]} content
 * @param {{ visible: Write[][], lastId: number, recent: DeviceModel['recent'], afterCrash?: boolean }} before
 */
export function snapshotFaults(content, before, where) {
  const faults = [];
  let latest = -1;
  for (let s = 0; s < content.length; s++) {
    const fault = allow(content[s], before.visible[s], s, where, before);
    if (fault !== undefined) faults.push(fault);
    latest = Math.max(latest, content[s].write?.invoke ?? -1);
  }
  // What survived a crash is any subset of what was not flushed: no instant.
  for (const { write, first, count } of before.afterCrash === true ? [] : before.recent) {
    if (write.answer >= latest) continue;
    for (let s = first; s < first + count; s++) {
      const held = content[s].write;
      // Zeros do not say which write they are: the newest zeros there could be are given the benefit.
      const older =
        held === undefined
          ? !before.recent.some(
              (z) => z.write.zero && covers(z, s) && z.write.answer >= write.invoke,
            )
          : held.answer < write.invoke;
      if (older) {
        const what = held === undefined ? 'zeros' : `write ${held.id}`;
        faults.push(`${where}: sector ${s} holds ${what}, older than ${write.id}: two instants`);
      }
    }
  }
  return faults;
}

const covers = ({ first, count }, sector) => sector >= first && sector < first + count;

/** @typedef {{ write?: Write, fault?: string }} Sector */

/** The bytes of a write to `count` sectors of `size` bytes from `first`. */
export function payload(write, first, count, size = SECTOR) {
  const bytes = Buffer.alloc(count * size);
  if (write.zero) return bytes;
  for (let i = 0; i < count; i++) fill(bytes.subarray(i * size, (i + 1) * size), write, first + i);
  return bytes;
}

const MAGIC = Buffer.from('PALK').readInt32LE();

/** A sector: magic, id, sector number, the volume's name hashed, then words that follow from these. */
function fill(sector, write, index) {
  const words = new Int32Array(sector.buffer, sector.byteOffset, sector.length / 4);
  words[0] = MAGIC;
  words[1] = write.id;
  words[2] = index;
  words[3] = hash(write.device);
  let word = Math.imul(write.id, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca77);
  for (let at = 4; at < words.length; at += 1) {
    word = (Math.imul(word, 1664525) + 1013904223) | 0;
    words[at] = word;
  }
}

function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * Reads sectors back: which write each holds, or what is wrong with it.
 * @param {Buffer} bytes
 * @param {number} first
 * @param {History} history
 * @param {number} [size] Bytes of a sector.
 * @returns {Sector[]}
 */
export function parse(bytes, first, history, size = SECTOR) {
  const zeros = Buffer.alloc(size);
  const expected = Buffer.alloc(size);
  const sectors = [];
  for (let i = 0; i * size < bytes.length; i++) {
    const sector = bytes.subarray(i * size, (i + 1) * size);
    if (sector.equals(zeros)) {
      sectors.push({});
      continue;
    }
    const write = history.writes.get(sector.readUInt32LE(4));
    if (write === undefined) {
      sectors.push({ fault: 'bytes that nobody wrote' });
      continue;
    }
    fill(expected, write, first + i);
    sectors.push(
      sector.equals(expected)
        ? { write }
        : {
            fault: `torn or foreign bytes (say write ${write.id}, sector ${sector.readUInt32LE(8)})`,
          },
    );
  }
  return sectors;
}
