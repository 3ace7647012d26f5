/** What the store tells of its work: restores, jobs, the log, events. Times are RFC 3339. */
import type { Attribution } from './store-types.js';

/** See `Store.restore`. */
export interface RestoreRequest extends Attribution {
  /** A volume or a branch. */
  readonly target: string;
  /** A snapshot of it or of another branch of its volume; or a branch, of which one is taken first. */
  readonly from: string;
  readonly force?: boolean;
  /** At most so fast is copied back. @default as fast as it goes */
  readonly bytesPerSecond?: number;
}

/** A restore. */
export interface RestoreInfo {
  readonly target: string;
  readonly from: string;
  /** Reference of the state before. */
  readonly undo?: string;
  readonly state: 'running' | 'paused' | 'failed' | 'done';
  readonly doneBytes: number;
  /** About how many there are in all. */
  readonly totalBytes: number;
  /** RFC 3339. */
  readonly startedAt: string;
  /** The job that copies it back. */
  readonly job?: number;
}

/** Long work that goes on behind the store's back. */
export interface JobInfo {
  /** Unique while the store is open. */
  readonly id: number;
  readonly kind: 'restore' | 'flatten';
  readonly target: string;
  readonly state: 'running' | 'paused' | 'failed' | 'done';
  readonly done: number;
  readonly total: number;
  readonly unit: 'blocks';
  readonly error?: string;
}

/** See `Store.undo`. */
export interface UndoRequest extends Attribution {
  /** @default the last operation that can be undone */
  readonly operation?: number;
  readonly force?: boolean;
}

/** An entry of the log. */
export interface OperationInfo {
  readonly id: number;
  /** RFC 3339. */
  readonly at: string;
  readonly by: string;
  readonly kind: string;
  /** What it was done to. */
  readonly target: string;
  readonly detail?: string;
  /** Whether it can be undone; absent when it is of a kind that cannot. */
  readonly undo?: 'possible' | 'done' | 'gone';
}

/** Snapshots that are taken by themselves. */
export interface ScheduleInfo {
  /** A volume or branch. */
  readonly target: string;
  readonly everyMs: number;
  /** So many of the schedule's own are kept. */
  readonly keep: number;
  /** RFC 3339. */
  readonly lastAt?: string;
  /** RFC 3339. */
  readonly nextAt: string;
}

/** Something that happened by itself. */
export interface StoreEvent {
  readonly type: 'expired' | 'restore-done' | 'high-water' | 'full' | 'dropped' | 'grown';
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly reference?: string;
  readonly detail?: string;
}
