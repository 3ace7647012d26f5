/**
 * PacesByDisk: the paces of the files that are open, by the disk they are on. When a call at once on one
 * of them stalls, the others have to earn their trust anew: they would stall next, one after the other.
 */
import { Pace, type Trust } from './pace.js';

/** See the file header. */
export class PacesByDisk {
  readonly #disks = new Map<number, Set<Pace>>();

  /** The pace of a file that was opened on a disk; `forget` it when the file is closed. */
  add(disk: number, trust: Trust): { readonly pace: Pace; forget(): void } {
    const paces = this.#disks.get(disk) ?? new Set<Pace>();
    this.#disks.set(disk, paces);
    const pace = new Pace(trust, () => {
      for (const other of paces) other.distrust();
    });
    paces.add(pace);
    return {
      pace,
      forget: () => {
        paces.delete(pace);
        if (paces.size === 0 && this.#disks.get(disk) === paces) this.#disks.delete(disk);
      },
    };
  }
}
