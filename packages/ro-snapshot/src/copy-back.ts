/**
 * CopyBack: the background part of a restore (US 6,957,362). It writes the source's bytes of every
 * block that is not done, as a client would write them, until none is left.
 *
 *   R22  A block is written only if, in the same turn in which it is held, it is still not done, nobody
 *        holds newer bytes of it, and the layer that it was read from is still the top one: what a
 *        client wrote meanwhile counts.
 *   R23  The cursor passes a block when it is done and a flush of the clone volume has covered it. It
 *        rides in the batch of the step after, so that a step costs one flush of each device.
 *   R24  A source that cannot be read ends the copy-back with that error. Its blocks stay as they are,
 *        not done: they are never taken for zeros.
 *   R25  In a store that is full, what is held is committed before more space is asked for: it may need
 *        less than was taken for it, and what is left over is set aside for the rest (RS4).
 */
import { StorageError, together } from '@palimpsest/block-device';
import { isZero } from './arena.js';
import { progressOf, type RestoreLayer } from './restore-records.js';
import type { RestoreProgress } from './restore-source.js';
import { finishRestores, forgetRestores, type RestoreParts } from './restores.js';

/** Two flushes are worth as much, and clients do not wait long behind it. */
const STEP_BYTES = 2 << 20;

/** How to copy back. */
export interface CopyBackOptions {
  /** Stops after the step under way; `copyBack` can be called again. */
  readonly signal?: AbortSignal;
  /** Called before that many bytes are copied; they are when it resolves. */
  readonly pace?: (bytes: number) => Promise<void>;
  readonly onProgress?: (progress: RestoreProgress) => void;
  /** Bytes copied in one step, which costs a flush of each device. @default 2 MiB */
  readonly stepBytes?: number;
}

/** What was read from the source, and not placed yet. */
interface Step {
  readonly layer: RestoreLayer;
  readonly blocks: readonly number[];
  readonly bytes: Uint8Array;
}

/** Copies back until every block of every running restore is done; see `ProductionVolume.copyBack`. */
export async function copyBack(parts: RestoreParts, options: CopyBackOptions): Promise<void> {
  const { save, layers } = parts;
  const { signal } = options;
  let layer: RestoreLayer | undefined;
  let from = 0;
  while (layers.top !== undefined) {
    signal?.throwIfAborted();
    if (layers.top !== layer) {
      layer = layers.top;
      from = layer.cursor;
    }
    const most = Math.max(1, Math.floor((options.stepBytes ?? STEP_BYTES) / save.blockSize));
    const end = parts.size() / save.blockSize;
    const blocks = await layers.nextPending(from, end, most);
    if (layers.top !== layer) continue;
    if (blocks.length === 0) {
      if (await finish(parts, layer, from)) break;
      continue;
    }
    await unlessAborted(options.pace?.(blocks.length * save.blockSize), signal);
    await place(parts, await readStep(parts, layer, blocks));
    await settle(parts);
    if (layers.top !== layer) continue;
    from = await passed(parts, blocks);
    parts.copyOut.nextCursor = { layer, block: from };
    options.onProgress?.(progressOf(save, parts.volume, layer));
  }
  await forgetRestores(parts);
}

async function readStep(
  { save, layers }: RestoreParts,
  layer: RestoreLayer,
  blocks: readonly number[],
): Promise<Step> {
  const { blockSize } = save;
  const bytes = new Uint8Array(blocks.length * blockSize);
  const level = layers.all.indexOf(layer) + 1;
  if (level === 0) return { layer, blocks: [], bytes };
  await together((waits) => {
    for (let index = 0; index < blocks.length; ) {
      const first = blocks[index] as number;
      let run = 1;
      while (blocks[index + run] === first + run) run += 1;
      const part = bytes.subarray(index * blockSize, (index + run) * blockSize);
      const completion = layers.readSource(level, part, first * blockSize);
      if (completion !== undefined) waits.push(completion);
      index += run;
    }
  });
  return { layer, blocks, bytes };
}

/** Holds each block of a step, if it is still to be done (R22). */
async function place(parts: RestoreParts, { layer, blocks, bytes }: Step): Promise<void> {
  const { save, layers, states, space, copyOut, exclusion } = parts;
  const { blockSize } = save;
  let committedAt = -1;
  for (let index = 0; index < blocks.length; ) {
    parts.assertOpen();
    assertSound(parts);
    const block = blocks[index] as number;
    const wait =
      exclusion.closed ??
      save.throttle(copyOut) ??
      (layers.isPending(block) === undefined ? layers.load(block) : undefined);
    if (wait !== undefined) {
      await wait;
      continue;
    }
    if (layers.top !== layer) return;
    const isToDo = layers.isPending(block) === true && copyOut.held.get(block) === undefined;
    if (isToDo) {
      const each = states.mostBlocks;
      if (!space.secure(1, [block], each, [block])) {
        if (committedAt < index && copyOut.held.size > 0) {
          committedAt = index;
          await save.commit(copyOut); // R25
          continue;
        }
        const needed = space.needed(1, 1, each);
        await save.reserveSlowly(needed);
        save.settled(needed);
        continue;
      }
      const part = bytes.subarray(index * blockSize, (index + 1) * blockSize);
      copyOut.held.hold(block, isZero(part) ? null : part);
    }
    index += 1;
  }
}

/** Everything held is in the clone volume, and that is flushed. */
async function settle(parts: RestoreParts): Promise<void> {
  const { save, clone, copyOut } = parts;
  await save.commit(copyOut);
  assertSound(parts);
  if (copyOut.refusal !== undefined) throw copyOut.refusal;
  await copyOut.flushed(() => clone.flush());
}

/** The first block that the cursor must not pass (R23). */
async function passed({ layers }: RestoreParts, blocks: readonly number[]): Promise<number> {
  for (const block of blocks) {
    while (layers.isPending(block) === undefined) await layers.load(block);
    if (layers.isPending(block) === true) return block;
  }
  return (blocks.at(-1) as number) + 1;
}

/** Ends the restores if nothing is left to do; false when another one has begun. */
function finish(parts: RestoreParts, layer: RestoreLayer, from: number): Promise<boolean> {
  const { exclusion, layers, save } = parts;
  return exclusion.alone(async () => {
    parts.assertOpen();
    const end = parts.size() / save.blockSize;
    if (layers.top !== layer) return false;
    if ((await layers.nextPending(from, end, 1)).length > 0) return false;
    await finishRestores(parts);
    return true;
  });
}

function assertSound({ copyOut }: RestoreParts): void {
  if (copyOut.failure === undefined) return;
  throw new StorageError(
    'ERR_FAILED',
    'the production volume failed under a write that was answered: reopen it',
    { cause: copyOut.failure },
  );
}

/** Waits for `work`, or for the signal, whichever comes first. */
async function unlessAborted(
  work: Promise<void> | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (work === undefined || signal === undefined) return work;
  let stop: () => void = () => undefined;
  const aborted = new Promise<void>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted)
      stop(); // The event is over: `work` itself may have been what aborted.
    else signal.addEventListener('abort', stop);
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
