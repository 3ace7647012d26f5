/**
 * Depths: in which layer of its lineage each block of a state lies, from the block map alone.
 *
 *   1 the state's own space, 2 the one that it stands on, ... the last is production: its image, or what
 *   was saved of it; 0 is nowhere: beneath a branch that stands on nothing, or past the end of its base
 */
import type { SaveVolume } from '@palimpsest/save-volume';
import { chainOf, type StateReference } from './changed-blocks.js';
import { ownRuns } from './own-runs.js';
import { ZeroSpans } from './zero-spans.js';

/** Neighbouring blocks of one depth. */
export interface DepthRun {
  readonly first: number;
  readonly count: number;
  readonly depth: number;
}

/**
 * The blocks from `first` on and below `end`, in order and without gaps. What a live state holds in
 * memory is not in the map yet: commit first, or it is told by what lies beneath.
 * @throws {StorageError} ERR_NOT_FOUND.
 */
export async function depthsOf(
  save: SaveVolume,
  state: StateReference,
  first: number,
  end: number,
): Promise<DepthRun[]> {
  const { root, states } = chainOf(save, state);
  const runs: DepthRun[] = [];
  const add = (from: number, to: number, depth: number): void => {
    if (from >= to) return;
    const last = runs.at(-1);
    if (last?.depth === depth) runs[runs.length - 1] = { ...last, count: last.count + to - from };
    else runs.push({ first: from, count: to - from, depth });
  };
  const descend = async (at: number, from: number, to: number): Promise<void> => {
    const layer = states[at];
    const inside = Math.max(from, Math.min(to, layer?.size ?? 0));
    if (layer?.space === root) add(from, inside, at + 1);
    else if (layer !== undefined && from < inside) {
      const { space, version } = layer;
      const spans = new ZeroSpans(save, space, version);
      await spans.load();
      let done = from;
      for await (const run of ownRuns(save, { space, version, spans }, from, inside)) {
        if (run.first > done) await descend(at + 1, done, run.first);
        add(run.first, run.first + run.count, at + 1);
        done = run.first + run.count;
      }
      if (done < inside) await descend(at + 1, done, inside);
    }
    add(inside, to, 0);
  };
  await descend(0, first, end);
  return runs;
}
