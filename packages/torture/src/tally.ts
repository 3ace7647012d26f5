/** What the torture has done, to be compared with the floors; and what it says when it fails. */
import type { Case } from './case.js';

/** What was done. Images that were seen before do not count. */
export interface Tally {
  histories: number;
  operations: number;
  /** Distinct images after a crash of a history, each recovered and compared. */
  images: number;
  /** The same, after a crash of a recovery. */
  recoveryImages: number;
  /** Recoveries in the cache of a process that was killed. */
  kills: number;
  /** Survivors that lived on. */
  survivors: number;
  /** Histories without a crash, all calls delayed at random. */
  interleaved: number;
  /** Operations refused because the store was full. */
  refusals: number;
  /** First overwrites that the monitor of I3 saw. */
  firstOverwrites: number;
  /** Sequences of the exhaustive part. */
  sequences: number;
}

export function newTally(): Tally {
  return {
    histories: 0,
    operations: 0,
    images: 0,
    recoveryImages: 0,
    kills: 0,
    survivors: 0,
    interleaved: 0,
    refusals: 0,
    firstOverwrites: 0,
    sequences: 0,
  };
}

/** Adds what another did. */
export function addTally(to: Tally, from: Tally): void {
  for (const key of Object.keys(to) as (keyof Tally)[]) to[key] += from[key];
}

/** Where in a run something went wrong. */
export interface Place {
  readonly seed?: number;
  /** Operations of the exhaustive part. */
  readonly sequence?: string;
  /** Of a store that is full. */
  readonly policy?: string;
  readonly interleaved?: boolean;
  readonly quick?: boolean;
  /** The store is full, and is crashed. */
  readonly full?: boolean;
  readonly point?: number;
  readonly image?: string;
  readonly recoveryPoint?: number;
  readonly recoveryImage?: string;
}

/** A failure, and all it takes to run it again. */
export class Failure extends Error {
  readonly place: Place;
  /** What ran, when it can be shrunk. */
  readonly case: Case | undefined;

  constructor(place: Place, cause: unknown, run?: Case) {
    const where = Object.entries(place)
      .map(([name, value]) => `${name}=${value}`)
      .join(' ');
    super(`${where}: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : cause}`, {
      cause,
    });
    this.name = 'Failure';
    this.place = place;
    this.case = run;
  }
}
