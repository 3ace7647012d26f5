/**
 * Goal: a list of entries has all there are, also when a checkpoint moves what was pending into the
 * tree while the list waits for pages: behind the place that it has got to.
 * Method: pages come from a device that answers later, none is kept; a checkpoint is begun at every
 * turn of a listing.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { expect, test } from 'vitest';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '../src/index.js';

const BLOCK = 512;
const SPACE = 3;

type Listing = (save: SaveVolume) => Promise<number[]>;

const LISTINGS: readonly [string, Listing][] = [
  [
    'entries',
    async ({ map }) => (await map.listEntries(SPACE, 0, 4000, 5000)).map(({ block }) => block),
  ],
  ['those of one version', ({ map }) => map.listSaved(SPACE, 5, 0, 5000)],
  [
    'those that are visited',
    async ({ map }) => {
      const found = new Set<number>();
      await map.eachEntry(SPACE, 0, 4000, (block, version) => {
        if (version === 5) found.add(block);
      });
      return [...found];
    },
  ],
];

test.each(LISTINGS)('a checkpoint hides nothing of %s', async (_, list) => {
  for (let turns = 0; turns < 60; turns += 1) {
    const memory = createMemoryDevice({ blockSize: BLOCK, size: 4 << 20 });
    await formatSaveVolume(memory, { blockSize: BLOCK });
    const device = Object.assign(Object.create(memory), {
      blockSize: BLOCK,
      readInto: async (target: Uint8Array, position: number) => {
        await undefined;
        await memory.readInto(target, position);
      },
      write: memory.write.bind(memory),
      zero: memory.zero.bind(memory),
      discard: memory.discard.bind(memory),
      flush: memory.flush.bind(memory),
    });
    Object.defineProperty(device, 'size', { get: () => memory.size });
    const save = await openSaveVolume(device, { cacheBytes: 0 });
    await save.transact((batch) => {
      for (let block = 1; block < 1200; block += 1) batch.putZero(SPACE, block * 2, 5);
    });
    await save.checkpoint();
    await save.transact((batch) => batch.putZero(SPACE, 7, 5));
    const listing = list(save);
    for (let turn = 0; turn < turns * 4; turn += 1) await undefined;
    const checkpoint = save.checkpoint();
    const blocks = await listing;
    await checkpoint;
    expect(blocks.length, `after ${turns} turns`).toBe(1200);
    expect(blocks, `after ${turns} turns`).toContain(7);
  }
});
