/** Steps that restore volumes, in the background, and go on with it. */
import { isStorageError } from '@palimpsest/block-device';
import type { Random } from '@palimpsest/block-device/testing';
import { demand, Violation } from '../compare.js';
import { type History, Stopped } from '../history.js';
import type { Asked } from '../model/event.js';
import type { Snapshot } from '../model/model.js';
import { type Creation, readNew } from './snapshots.js';

/** Layers over one volume at most: each is read through. */
const LAYERS_MAX = 4;

/**
 * Restores a volume from a snapshot of its own or of a branch; also over a restore that runs, which
 * cancels it when the source is its undo snapshot.
 */
export async function restore(history: History, random: Random): Promise<void> {
  const { model, session } = history;
  const volume = random.pick(model.volumes);
  const running = session.volume(volume).restores;
  if (running.length >= LAYERS_MAX) return copyBack(history, random);
  const length = model.length(volume);
  const sources = history.snapshots().filter(({ parent, content }) => {
    const root = model.branch(parent)?.root ?? parent;
    return root === volume && content !== undefined && content.length <= length;
  });
  if (sources.length === 0) return;
  const undo = session.needed(volume).at(-1);
  const cancel = random.chance(0.3) ? sources.find(({ name }) => name === undo) : undefined;
  await restoreFrom(history, volume, cancel ?? random.pick(sources));
}

/** Restores a volume; usable at once, the state before is a snapshot. */
export async function restoreFrom(
  history: History,
  volume: string,
  { name: source, content }: Snapshot,
): Promise<void> {
  const { model, session } = history;
  // After an error of unknown effect the model cannot say what another swap would replace.
  if (model.isSwapping(volume)) return;
  const together = history.ids.next++;
  const undo: Creation = {
    ...{ kind: 'create-snapshot', name: history.newName('u'), space: volume, together },
  };
  const restored = new Int32Array(model.length(volume)); // zeros beyond the source's end
  restored.set(content as Int32Array);
  const swap: Asked = { kind: 'swap', space: volume, source, content: restored, together };
  history.onSnapshots(volume, 'uncertain');
  await history.tell([undo, swap], async () => {
    await session.startRestore(volume, source, undo.name);
    await readNew(history, undo);
  });
}

/** Goes on with what restores there are: a step or two, or to the end. */
export async function copyBack(history: History, random: Random): Promise<void> {
  const volume = random.pick(history.model.volumes);
  await copyBackSome(history, volume, random.chance(0.5) ? random.between(1, 3) : undefined);
}

/** Copies back some steps of a few blocks, or all; nobody sees any of it. */
export async function copyBackSome(
  history: History,
  volume: string,
  steps: number | undefined,
): Promise<void> {
  const production = history.session.volume(volume);
  if (production.restores.length === 0) return;
  history.operations++;
  const stop = new AbortController();
  let left = steps ?? Number.POSITIVE_INFINITY;
  const pace = async (): Promise<void> => {
    if (left-- <= 0) stop.abort(new Stopped('enough'));
  };
  const stepBytes = history.geometry.blockSize * (steps ?? 4);
  try {
    await production.copyBack({ signal: stop.signal, pace, stepBytes });
  } catch (error) {
    if (history.broken || error instanceof Stopped) return;
    // Another may be at it in a burst.
    if (history.bursting && isStorageError(error, 'ERR_BUSY')) return;
    throw error; // RS4: a full store is no reason
  }
  if (history.bursting) return;
  if (production.restores.length > 0) throw new Violation('a copy-back ended before its time');
  const ids = await history.session.readSpace(volume);
  demand(history.model.complain(volume, ids, 'now'));
}
