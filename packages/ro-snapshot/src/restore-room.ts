/**
 * The room that restores need, counted and set aside (RS4, restore-space.ts): when one starts, when a
 * snapshot is taken meanwhile, and when a volume is opened again in its midst.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import { atLevel, LEVELS_MAX, LIVE } from '@palimpsest/save-volume';
import type { RestoreLayers } from './restore-layers.js';
import type { RestoreSource } from './restore-source.js';
import type { RestoreParts } from './restores.js';
import { ZEROS } from './saved-states.js';

/**
 * RS4, for a restore that starts; the number of blocks that may differ, at most. A bound that is had at
 * once will do where there is room for so many; only where there is not are they counted one by one.
 */
export async function setAsideFor(parts: RestoreParts, source: RestoreSource): Promise<number> {
  const { layers, save } = parts;
  const others = (await countChanged(parts, source.root)) + layers.remaining;
  const most = parts.size() / save.blockSize;
  // One that stands on nothing differs beyond its own end too, where the volume has more than zeros.
  const own = source.root === 0 ? most : await source.countDiffering();
  const total = Math.min(most, others + own);
  try {
    await setAside(parts, total, layers.all.length + 1);
    return total;
  } catch (error) {
    if (source.root === 0 || !isStorageError(error, 'ERR_NO_SPACE')) throw error;
    const counted = Math.min(most, others + (await countOneByOne(source)));
    if (counted === total) throw error;
    await setAside(parts, counted, layers.all.length + 1);
    return counted;
  }
}

/** Blocks that the volume changed since the snapshot at the root of a source, at most. */
async function countChanged({ save, volume }: RestoreParts, root: number): Promise<number> {
  let count = await save.map.countAtMost(volume, root, LIVE);
  for (let level = 1; level <= LEVELS_MAX; level += 1) {
    const version = atLevel(level, root);
    count += (await save.map.countAtMost(volume, version, version + 1)) * 512 ** level;
  }
  return count;
}

async function countOneByOne(source: RestoreSource): Promise<number> {
  let count = 0;
  for (let from = 0; ; ) {
    const blocks = await source.nextDiffering(from, COUNT_STEP);
    count += blocks.length;
    if (blocks.length < COUNT_STEP) return count;
    from = (blocks.at(-1) as number) + 1;
  }
}

/** Blocks of a source counted together. */
const COUNT_STEP = 65_536;

/**
 * Sets more aside before the first snapshot that is taken while a restore runs: it reads the source
 * where blocks are not done, and those bytes must be saved too (RS4).
 * @throws {StorageError} ERR_NO_SPACE.
 */
export async function secureSnapshot(parts: RestoreParts): Promise<void> {
  const { layers, queue } = parts;
  if (layers.none || queue.youngest !== layers.top?.undo) return;
  await setAside(parts, layers.remaining, layers.all.length + 1);
}

/** RS4. @throws {StorageError} ERR_NO_SPACE. */
async function setAside(parts: RestoreParts, blocks: number, each: number): Promise<void> {
  const { save, space } = parts;
  const more = Math.max(0, blocks * each - space.blocks);
  const marks = Math.max(0, blocks - space.marks);
  if (more === 0 && marks === 0) return;
  try {
    // Requests are kept out here, and whoever gives space back may have to keep them out too.
    space.add(await save.setAsideSlowly(more, marks, { relieve: false }));
  } catch (cause) {
    throw new StorageError(
      'ERR_NO_SPACE',
      `up to ${blocks * each * save.blockSize} bytes may have to be saved while this restore runs, ` +
        `${save.space().freeBytes} are free: delete snapshots or branches, or let the store grow`,
      { cause },
    );
  }
}

/**
 * Blocks that there must be room for, at most, also if a crash comes: one more than remain. Those that are
 * saved and not marked need none, but have it in hand for a while, one after the other, and count as done.
 */
export function needingRoom({ remaining }: RestoreLayers): number {
  return remaining + 1;
}

/**
 * RS4, of restores that were running. How many blocks were done is kept as of the last cursor, so more
 * than there was before may be asked for, and not be there. Then each block is looked at: what they
 * need in all was set aside until the crash, and nobody else can have taken it.
 */
export async function setAsideAgain(parts: RestoreParts): Promise<void> {
  const { layers, save, space, states } = parts;
  try {
    await setAside(parts, needingRoom(layers), states.mostBlocks);
  } catch (error) {
    if (!isStorageError(error, 'ERR_NO_SPACE')) throw error;
    const { blocks, marks } = await neededExactly(parts);
    for (let asked = blocks; ; asked = Math.floor(asked / 2)) {
      const found = save.setAside(asked, marks, { evenReserved: true });
      space.add(found);
      if (found !== undefined || asked === 0) return;
    }
  }
}

/** What the blocks that are not done have still to be saved, with room for the largest to be in hand. */
async function neededExactly(parts: RestoreParts): Promise<{ blocks: number; marks: number }> {
  const { layers, states } = parts;
  const end = parts.size() / parts.save.blockSize;
  let blocks = states.mostBlocks;
  let marks = 0;
  for (let from = 0; ; ) {
    const pending = await layers.nextPending(from, end, COUNT_STEP);
    if (pending.length === 0) return { blocks, marks };
    for (const block of pending) {
      blocks += (await states.missing(block)).filter(({ level }) => level !== ZEROS).length;
    }
    marks += pending.length;
    from = (pending.at(-1) as number) + 1;
  }
}
