/**
 * The trace of a crash world: every change and every flush of all its disks in one global order,
 * and the replay of it that knows, at each point, what is durable and what is still pending.
 *
 *   T1  A flush makes durable, at its end, the changes to its disk that were complete when it was
 *       asked for, and no others.
 *   T2  A change in flight, or complete but not flushed, is pending: a crash decides its fate.
 *   T3  A change that is durable hides every earlier pending one in the sectors they share.
 *   T4  What was pending when a flush failed is never made durable by a later flush: the system
 *       has marked it clean. It stays pending until something newer is durable in its place.
 */
import { SECTOR, type Sector, type SectorStore } from './sectors.js';

/** A sector of a change that leaves what was there (a discard may do that, D9). */
export const UNTOUCHED = null;

interface EventPlace {
  /** Place in the trace, from 0. Point `n` of a world is just before event `n`. */
  readonly index: number;
  /** The disk's name. */
  readonly device: string;
}

/** A write, zero, discard or resize of a disk. */
export interface ChangeEvent extends EventPlace {
  readonly kind: 'write' | 'zero' | 'discard' | 'resize';
  /** Bytes; for a resize, 0 and the new size. */
  readonly position: number;
  readonly length: number;
  /** The new content, a sector each: `undefined` is zeros. Empty for a resize. */
  readonly sectors: readonly (Sector | undefined | typeof UNTOUCHED)[];
  /** The point from which the change is complete. Infinity while the caller still waits. */
  completeAt: number;
}

/** A flush of a disk, asked for or ended. `begin` is the index of its flush-begin event. */
export interface FlushEvent extends EventPlace {
  readonly kind: 'flush-begin' | 'flush-end' | 'flush-failed';
  readonly begin: number;
}

/** What happened to a disk. */
export type TraceEvent = ChangeEvent | FlushEvent;

/** Tells changes from flushes. */
export function isChange(event: TraceEvent): event is ChangeEvent {
  return 'sectors' in event;
}

/** A change that a crash may keep, lose or tear. */
export interface PendingChange {
  readonly change: ChangeEvent;
  /** Sectors of the change that something newer and durable hides (T3), by index in it. */
  hidden: Set<number> | undefined;
  /** T4. */
  lost: boolean;
}

/** The state of all disks at one point of a trace. It only moves forward. */
export class Replay {
  point = 0;
  readonly durable: Map<string, SectorStore>;
  pending: PendingChange[] = [];

  /** Starts at point 0 from `base`, whose stores the replay takes over. */
  constructor(base: Map<string, SectorStore>) {
    this.durable = base;
  }

  advance(trace: readonly TraceEvent[], point: number): void {
    for (; this.point < point; this.point++) {
      const event = trace[this.point] as TraceEvent;
      if (isChange(event)) this.pending.push({ change: event, hidden: undefined, lost: false });
      else if (event.kind === 'flush-end') this.#flush(event);
      else if (event.kind === 'flush-failed') this.#lose(event);
    }
  }

  #flush(event: FlushEvent): void {
    const store = this.durable.get(event.device) as SectorStore;
    const kept: PendingChange[] = [];
    for (const entry of this.pending) {
      if (!covers(event, entry.change) || entry.lost) {
        kept.push(entry);
        continue;
      }
      applyChange(store, entry);
      for (const earlier of kept) hide(earlier, entry.change); // T3
    }
    this.pending = kept.filter(({ change, hidden }) => hidden?.size !== change.sectors.length);
  }

  #lose(event: FlushEvent): void {
    for (const entry of this.pending) if (covers(event, entry.change)) entry.lost = true;
  }
}

/** Carries a pending change out on a store; `keep` says which of its sectors. */
export function applyChange(
  store: SectorStore,
  { change, hidden }: PendingChange,
  keep?: (sector: number) => boolean,
): void {
  if (change.kind === 'resize') {
    store.resize(change.length);
    return;
  }
  const first = change.position / SECTOR;
  for (let index = 0; index < change.sectors.length; index++) {
    const sector = change.sectors[index];
    if (sector === UNTOUCHED || hidden?.has(index)) continue;
    if ((first + index) * SECTOR >= store.size) continue; // the disk's growth itself was lost
    if (keep === undefined || keep(index)) store.set(first + index, sector);
  }
}

function covers(flush: FlushEvent, change: ChangeEvent): boolean {
  return change.device === flush.device && change.completeAt <= flush.begin;
}

function hide(earlier: PendingChange, newer: ChangeEvent): void {
  const { change } = earlier;
  if (change.device !== newer.device || change.kind === 'resize') return;
  const offset = (newer.position - change.position) / SECTOR;
  const from = Math.max(0, offset);
  const to = Math.min(change.sectors.length, offset + newer.sectors.length);
  for (let index = from; index < to; index++) {
    if (newer.sectors[index - offset] === UNTOUCHED) continue;
    earlier.hidden ??= new Set();
    earlier.hidden.add(index);
  }
}
