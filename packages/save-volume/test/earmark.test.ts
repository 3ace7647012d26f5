/**
 * Goal: work that set its space aside ends, however full the store gets meanwhile (E3).
 * Method: set space aside, fill the rest to the brim with others' writes, then commit exactly what was
 * set aside, as a participant does, with marks beside it.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { expect, test } from 'vitest';
import {
  formatSaveVolume,
  HeldBlocks,
  openSaveVolume,
  type Participant,
  type SaveVolume,
} from '../src/index.js';

const BLOCK = 512;

async function small(blocks = 400): Promise<SaveVolume> {
  const size = 2 * 4096 + 16_384 + blocks * BLOCK;
  const device = createMemoryDevice({ blockSize: BLOCK, size });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16_384 });
  return openSaveVolume(device, { maximumBytes: size });
}

/** Writes blocks of `space` until the store refuses. */
async function fillUp(save: SaveVolume, space: number): Promise<number> {
  for (let block = 0; ; block += 1) {
    try {
      await save.transact((batch) => batch.put(space, block, 1, new Uint8Array(BLOCK).fill(1)));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
      return block;
    }
  }
}

/** A participant that holds blocks of space 9 and marks them in space 10. */
function holder(save: SaveVolume): Participant & { held: HeldBlocks } {
  const held = new HeldBlocks(save);
  return {
    held,
    get hasWork() {
      return held.size > 0;
    },
    begin: () => held.begin(),
    fill(batch) {
      for (const block of held.unfilled()) {
        if (!batch.hasRoom(2)) return true;
        batch.put(9, block, 1, held.committing(block) as Uint8Array);
        batch.putZero(10, block, 1);
        held.fill(block);
      }
      return false;
    },
    settle() {
      held.settle();
      return undefined;
    },
    abandon: () => held.abandon(),
  };
}

test.each([1, 5, 40])(
  'what is set aside can be used when the store is full (%i at a time)',
  async (step) => {
    const save = await small();
    const space = save.setAside(80, 80);
    expect(space).toBeDefined();
    if (space === undefined) return;
    expect(save.space()).toMatchObject({ earmarkedBytes: 80 * BLOCK, dirtyBytes: 0 });
    expect(await fillUp(save, 1)).toBeGreaterThan(20);
    const participant = holder(save);
    save.join(participant);
    for (let block = 0; block < 80; block += step) {
      for (let each = block; each < block + step; each += 1) {
        while (save.reserve(1)); // others are greedy, and keep what they get
        space.take(1);
        participant.held.hold(each, new Uint8Array(BLOCK).fill(each + 1));
      }
      await save.commit();
      space.marked(step);
      if (block % 3 === 0) await save.checkpoint();
    }
    expect(space).toMatchObject({ blocks: 0, marks: 0 });
    const target = new Uint8Array(BLOCK);
    for (let block = 0; block < 80; block += 1) {
      expect(await save.readSaved(9, block, 1, target)).toBe(true);
      expect(target[7]).toBe(block + 1);
    }
    expect(save.space().earmarkedBytes).toBe(0);
    await save.close(); // the checkpoint has room too (C6)
  },
);

test('what is not used is everyone’s again, and too much is refused', async () => {
  const save = await small();
  const before = save.space().reservedBytes;
  expect(save.setAside(400)).toBeUndefined();
  await expect(save.setAsideSlowly(400)).rejects.toMatchObject({ code: 'ERR_NO_SPACE' });
  expect(save.space().reservedBytes).toBe(before);
  const space = await save.setAsideSlowly(100, 30);
  space.release(40);
  expect(space).toMatchObject({ blocks: 60, marks: 30 });
  space.release();
  space.release();
  expect(save.space()).toMatchObject({ reservedBytes: before, earmarkedBytes: 0 });
});

test('what was taken and not needed is set aside again, ahead of everybody else', async () => {
  const save = await small();
  const space = await save.setAsideSlowly(50);
  await fillUp(save, 1);
  const before = save.space().reservedBytes;
  space.take(10);
  expect(space.blocks).toBe(40);
  save.settled(10);
  space.regain(10);
  expect(space.blocks).toBe(50);
  expect(save.space().reservedBytes).toBe(before);
  expect(save.reserve(1)).toBe(false);
});

test('E4: what was there before a crash is there after it, beside what is kept for metadata', async () => {
  const save = await small();
  await fillUp(save, 1);
  const left = save.space().freeBytes / BLOCK;
  expect(save.setAside(left)).toBeUndefined();
  expect(save.setAside(left + 1, 0, { evenReserved: true })).toBeUndefined();
  expect(save.setAside(left, 0, { evenReserved: true })?.blocks).toBe(left);
  expect(save.reserve(1)).toBe(false);
});
