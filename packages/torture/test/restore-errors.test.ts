/**
 * Goal: R24. A source that cannot be read ends the copy-back with an error; its blocks are never
 * taken for zeros, and once it can be read again the restore ends as it should.
 * Method: each read of the save volume in turn fails once, from the start of the copy-back on.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import { createCrashWorld, failing } from '@palimpsest/block-device/testing';
import { createProductionVolume, openProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { identify } from '../src/payload.js';
import { payload } from '../src/session.js';

const BLOCKS = 12;

async function idsOf(device: BlockDevice): Promise<number[]> {
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  return [...identify(bytes, 0)];
}

test('a read error in a copy-back is no block of zeros, whichever read it hits', async () => {
  let fired = 0;
  for (let nth = 1; nth <= 30; nth++) {
    const world = createCrashWorld({ seed: nth });
    const disk = world.device('save', { size: 512 * 400 });
    const clone = world.device('clone', { size: 512 * BLOCKS });
    await formatSaveVolume(disk, { blockSize: 512, journalBytes: 16_384 });
    const first = await openSaveVolume(disk);
    const volume = await createProductionVolume(first, clone);
    await volume.device.write(payload(1, 0, BLOCKS), 0);
    const { id } = await volume.createSnapshot();
    await volume.device.write(payload(2, 0, BLOCKS), 0);
    await volume.startRestore(id, { undo: {} });
    await volume.close();
    await first.close();

    const faulty = failing(world.device('save'));
    const save = await openSaveVolume(faulty.device, { cacheBytes: 4 * 512 });
    const again = await openProductionVolume(save, volume.id, world.device('clone'));
    faulty.fail({ call: 'read', nth, onFire: () => fired++ });
    await again.copyBack({ stepBytes: 1024 }).catch((error: unknown) => {
      expect(isStorageError(error)).toBe(true);
    });
    faulty.heal();
    await again.close().catch(() => undefined); // it may have failed for good, as it should
    await save.close();

    const sound = await openSaveVolume(world.device('save'));
    const last = await openProductionVolume(sound, volume.id, world.device('clone'));
    await last.copyBack();
    expect(await idsOf(last.device), `read ${nth}`).toEqual(new Array(BLOCKS).fill(1));
    expect((await sound.verify({ data: true })).problems).toEqual([]);
    await last.close();
    await sound.close();
  }
  expect(fired).toBeGreaterThan(5);
});
