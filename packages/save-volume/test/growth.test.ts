/** A device that grows in the midst of a checkpoint: what is written then must describe one moment. */
import { type BlockDevice, type Completion, checked } from '@palimpsest/block-device';
import { createCrashWorld } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { formatSaveVolume, openSaveVolume } from '../src/index.js';

const BLOCK = 512;
const SIZE = 256 << 10;

/** Calls `hook` before each change or flush; it may make the call wait. */
function hooked(device: BlockDevice, hook: () => Completion): BlockDevice {
  const after = (work: () => Completion): Completion => {
    const wait = hook();
    return wait === undefined ? work() : wait.then(work);
  };
  return checked({
    blockSize: device.blockSize,
    get size() {
      return device.size;
    },
    readOnly: false,
    readInto: (target, position) => device.readInto(target, position),
    write: (source, position) => after(() => device.write(source, position)),
    flush: () => after(() => device.flush()),
    resize: (size) => device.resize(size),
    close: () => Promise.resolve(),
  });
}

test('a store that grows at any moment of a checkpoint can be opened, after a crash too', async () => {
  for (let moment = 1; moment < 16; moment += 1) {
    const world = createCrashWorld({ seed: moment });
    const disk = world.device('save', { blockSize: BLOCK, size: SIZE });
    await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 16 << 10 });
    let calls = Number.NEGATIVE_INFINITY;
    let growing: Promise<void> | undefined;
    const device = hooked(disk, () => {
      calls += 1;
      if (calls !== moment) return undefined;
      // More than the store has: it grows by a hundred groups, for which the list needs more pages.
      growing = save.reserveSlowly(2000);
      return new Promise((resolve) => setImmediate(resolve));
    });
    const save = await openSaveVolume(device, { growBytes: 200 << 20 });
    await save.transact((batch) => batch.object(1, new TextEncoder().encode('{"type":"x"}')));
    for (let block = 0; block < 40; block += 1) {
      await save.transact((batch) => batch.put(1, block, 1, new Uint8Array(BLOCK).fill(block)));
    }
    calls = 0;
    const before = world.point;
    await save.checkpoint();
    await growing;
    for (let point = before; point <= world.point; point += 1) {
      for (const policy of world.policies(point, { most: 6 })) {
        const crashed = world.crash(point, policy).device('save');
        const again = await openSaveVolume(crashed);
        expect((await again.object(1))?.length, `moment ${moment}, point ${point}`).toBe(12);
      }
    }
    const reopened = await openSaveVolume(disk);
    const target = new Uint8Array(BLOCK);
    expect(await reopened.readSaved(1, 39, 0, target)).toBe(true);
    expect(target[0]).toBe(39);
  }
});
