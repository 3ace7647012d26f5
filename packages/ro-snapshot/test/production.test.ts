/** What a production volume promises, one promise a test, with the devices beneath watched. */
import {
  type BlockDevice,
  type Completion,
  checked,
  createMemoryDevice,
} from '@palimpsest/block-device';
import { createRandom, failing } from '@palimpsest/block-device/testing';
import { formatSaveVolume, LIVE, openSaveVolume } from '@palimpsest/save-volume';
import { describe, expect, test } from 'vitest';
import {
  createProductionVolume,
  listProductionVolumes,
  openProductionVolume,
  removeProductionVolume,
} from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 64;

async function makeWorld(saveBytes = 2 << 20, cloneOver?: (clone: BlockDevice) => BlockDevice) {
  const saveFaults = failing(createMemoryDevice({ size: saveBytes }));
  const cloneFaults = failing(createMemoryDevice({ size: BLOCKS * BLOCK }));
  await formatSaveVolume(saveFaults.device, { journalBytes: 64 << 10 });
  const save = await openSaveVolume(saveFaults.device, { growBytes: 1, maximumBytes: saveBytes });
  const clone = cloneOver?.(cloneFaults.device) ?? cloneFaults.device;
  const volume = await createProductionVolume(save, clone, { name: 'prod' });
  return { save, volume, clone, saveFaults, cloneFaults };
}

const filled = (value: number, blocks = 1) => new Uint8Array(blocks * BLOCK).fill(value);

async function read(device: BlockDevice, block: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  return bytes;
}

test('a block overwritten while a snapshot reads it is read as it was (N1)', async () => {
  // The image's reads wait at a gate, and take their bytes only when it opens.
  let gate: Promise<void> | undefined;
  let arrived = () => {};
  const { volume } = await makeWorld(2 << 20, (clone) =>
    checked({
      blockSize: clone.blockSize,
      size: clone.size,
      readOnly: false,
      readInto(target, position): Completion {
        if (gate === undefined) return clone.readInto(target, position);
        arrived();
        return gate.then(() => clone.readInto(target, position));
      },
      write: (source, position) => clone.write(source, position),
      flush: () => clone.flush(),
      close: () => clone.close(),
    }),
  );
  await volume.device.write(filled(1), 0);
  const { id } = await volume.createSnapshot();
  const past = volume.openSnapshot(id);
  let open = () => {};
  const waiting = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  gate = new Promise((resolve) => {
    open = resolve;
  });
  const reading = read(past, 0);
  await waiting;
  gate = undefined;
  await volume.device.write(filled(2), 0);
  await volume.device.flush();
  open();
  expect(await reading).toEqual(filled(1));
  expect(await read(volume.device, 0)).toEqual(filled(2));
});

test('a block is saved once between two snapshots (I2)', async () => {
  const { save, volume } = await makeWorld();
  await volume.device.write(filled(1, 8), 0);
  await volume.createSnapshot();
  for (let round = 2; round < 6; round += 1) {
    await volume.device.write(filled(round, 8), 0);
    await volume.device.flush();
  }
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(8);
  await volume.createSnapshot();
  await volume.device.write(filled(9), 0);
  await volume.device.flush();
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(9);
});

test('a first write is copied once, for the youngest snapshot, however many there are', async () => {
  const { save, volume } = await makeWorld();
  await volume.device.write(filled(1, 8), 0);
  const ids: number[] = [];
  for (let count = 0; count < 5; count += 1) ids.push((await volume.createSnapshot()).id);
  await volume.device.write(filled(2), 3 * BLOCK);
  await volume.device.flush();
  await save.checkpoint();
  expect(volume.metrics().copiedOutBlocks).toBe(1);
  expect(save.map.byBlock.root.entries).toBe(1);
  // The one entry is the youngest's: who deletes that one hands it on to the next.
  expect(await save.map.blocksBetween(volume.id, ids.at(-1) as number, LIVE, 0, 9)).toEqual([3]);
  expect(await save.map.blocksBetween(volume.id, 0, ids.at(-1) as number, 0, 9)).toEqual([]);
  for (const id of ids) expect(await read(volume.openSnapshot(id), 3)).toEqual(filled(1));
});

test('a snapshot is read through what younger ones saved, then from the image', async () => {
  const { volume, cloneFaults } = await makeWorld();
  await volume.device.write(filled(1, 4), 0);
  const ids: number[] = [];
  for (let block = 0; block < 3; block += 1) {
    ids.push((await volume.createSnapshot()).id);
    await volume.device.write(filled(10 + block), block * BLOCK);
    await volume.device.flush();
  }
  const seen = (id: number) =>
    Promise.all([0, 1, 2, 3].map(async (block) => (await read(volume.openSnapshot(id), block))[0]));
  expect(await Promise.all(ids.map(seen))).toEqual([
    [1, 1, 1, 1],
    [10, 1, 1, 1],
    [10, 11, 1, 1],
  ]);
  // What nobody saved comes from the image, and only that.
  cloneFaults.unreadable(3 * BLOCK);
  for (const id of ids) {
    expect((await read(volume.openSnapshot(id), 2))[0]).toBe(1);
    await expect(read(volume.openSnapshot(id), 3)).rejects.toMatchObject({ code: 'ERR_IO' });
  }
});

test('what is saved already is known again after a reopening, from the block map alone', async () => {
  const { save, volume, clone, saveFaults } = await makeWorld();
  await volume.device.write(filled(1, 8), 0);
  const { id } = await volume.createSnapshot();
  await volume.device.write(filled(2, 4), 0);
  await volume.close();
  await save.close();
  const again = await openSaveVolume(saveFaults.device);
  const reopened = await openProductionVolume(again, volume.id, clone);
  await reopened.device.write(filled(3, 8), 0);
  await reopened.device.flush();
  expect(reopened.metrics().copiedOutBlocks).toBe(4); // the other four were saved before
  await again.checkpoint();
  expect(again.map.byBlock.root.entries).toBe(8);
  for (let block = 0; block < 8; block += 1) {
    expect(await read(reopened.openSnapshot(id), block)).toEqual(filled(1));
  }
});

test('snapshots queue in order of time, whichever are deleted, and after a reopening', async () => {
  const { save, volume, clone, saveFaults } = await makeWorld();
  const names = (of: { readonly snapshots: typeof volume.snapshots }) =>
    of.snapshots.map(({ attributes }) => attributes.name);
  const ids = new Map<string, number>();
  for (const name of ['a', 'b', 'c', 'd'])
    ids.set(name, (await volume.createSnapshot({ name })).id);
  await volume.deleteSnapshot(ids.get('b') as number);
  await volume.createSnapshot({ name: 'e' });
  await volume.deleteSnapshot(ids.get('a') as number);
  expect(names(volume)).toEqual(['c', 'd', 'e']);
  await volume.close();
  await save.close();
  const again = await openSaveVolume(saveFaults.device);
  const reopened = await openProductionVolume(again, volume.id, clone);
  await reopened.createSnapshot({ name: 'b' });
  expect(names(reopened)).toEqual(['c', 'd', 'e', 'b']);
  const numbers = reopened.snapshots.map((each) => each.id);
  expect([...numbers].sort((a, b) => a - b)).toEqual(numbers);
});

test.each([
  ['oldest', 0],
  ['middle', 1],
  ['youngest', 2],
])('deleting the %s of three gives back at once what it alone reads', async (_which, index) => {
  const { save, volume } = await makeWorld();
  await volume.device.write(filled(1, 20), 0);
  const ids: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    ids.push((await volume.createSnapshot()).id);
    await volume.device.write(filled(10 + round, 10), 0); // each snapshot has its own
    await volume.device.flush();
  }
  await volume.device.write(filled(20, 10), 10 * BLOCK); // these all three read
  await volume.device.flush();
  const dataBytes = () => save.space().usedBytes - save.space().mapBytes;
  const expected = [1, 10, 11];
  await save.checkpoint();
  const used = dataBytes();
  await volume.deleteSnapshot(ids[index] as number);
  await save.checkpoint();
  expect(used - dataBytes()).toBe(10 * BLOCK);
  for (const [each, id] of ids.entries()) {
    if (each === index) continue;
    expect(await read(volume.openSnapshot(id), 5)).toEqual(filled(expected[each] as number));
    expect(await read(volume.openSnapshot(id), 15)).toEqual(filled(1));
  }
  for (const id of ids.filter((_, each) => each !== index)) await volume.deleteSnapshot(id);
  await save.checkpoint();
  expect(save.map.byBlock.root.entries).toBe(0);
  expect(used - dataBytes()).toBe(40 * BLOCK);
});

test('zeros are recorded, not copied', async () => {
  const { save, volume } = await makeWorld();
  const { id } = await volume.createSnapshot();
  const before = save.space().usedBytes;
  await volume.device.write(filled(7, 32), 0);
  await volume.device.flush();
  expect(save.space().usedBytes).toBe(before);
  expect(await read(volume.openSnapshot(id), 5)).toEqual(filled(0));
});

describe('flushes', () => {
  test('a flush with nothing held is one flush, of the image', async () => {
    const { volume, saveFaults, cloneFaults } = await makeWorld();
    await volume.device.write(filled(1), 0);
    const before = { save: saveFaults.calls.flush, clone: cloneFaults.calls.flush };
    await volume.device.flush();
    expect(saveFaults.calls.flush - before.save).toBe(0);
    expect(cloneFaults.calls.flush - before.clone).toBe(1);
  });

  test('a flush of first writes is two: save volume, then image', async () => {
    const { volume, saveFaults, cloneFaults } = await makeWorld();
    await volume.createSnapshot();
    await volume.device.write(filled(1, 8), 0);
    const before = { save: saveFaults.calls.flush, clone: cloneFaults.calls.flush };
    await volume.device.flush();
    expect(saveFaults.calls.flush - before.save).toBe(1);
    expect(cloneFaults.calls.flush - before.clone).toBe(1);
  });

  test('a snapshot with nothing held is two', async () => {
    const { volume, saveFaults, cloneFaults } = await makeWorld();
    const before = saveFaults.calls.flush + cloneFaults.calls.flush;
    await volume.createSnapshot();
    expect(saveFaults.calls.flush + cloneFaults.calls.flush - before).toBe(2);
  });

  test('a failed flush of the image is never retried', async () => {
    const { volume, cloneFaults } = await makeWorld();
    await volume.device.write(filled(1), 0);
    cloneFaults.fail({ call: 'flush', nth: 1 });
    await expect((async () => volume.device.flush())()).rejects.toMatchObject({ code: 'ERR_IO' });
    const { flush } = cloneFaults.calls;
    await expect((async () => volume.device.flush())()).rejects.toMatchObject({
      code: 'ERR_FAILED',
    });
    expect(cloneFaults.calls.flush).toBe(flush);
  });
});

describe('failures of the image under a write that was answered', () => {
  test('an unreadable old block fails this volume, and no other', async () => {
    const { save, volume, cloneFaults } = await makeWorld();
    const other = await createProductionVolume(save, createMemoryDevice({ size: BLOCKS * BLOCK }));
    await other.createSnapshot();
    await volume.device.write(filled(3), 5 * BLOCK);
    const { id } = await volume.createSnapshot();
    cloneFaults.unreadable(5 * BLOCK);
    await volume.device.write(filled(4), 5 * BLOCK); // answered: the old bytes are read later
    await expect((async () => volume.device.flush())()).rejects.toMatchObject({
      code: 'ERR_FAILED',
    });
    await expect((async () => volume.device.write(filled(5), 0))()).rejects.toMatchObject({
      code: 'ERR_FAILED',
    });
    cloneFaults.heal();
    expect(await read(volume.openSnapshot(id), 5)).toEqual(filled(3));
    await other.device.write(filled(1), 0);
    await other.device.flush();
  });

  test('a failed overwrite fails the next flush, and the snapshot keeps its bytes', async () => {
    const { volume, cloneFaults } = await makeWorld();
    await volume.device.write(filled(3), 0);
    const { id } = await volume.createSnapshot();
    await volume.device.write(filled(4), 0);
    cloneFaults.fail({ call: 'write', nth: 1, does: 'half' });
    await expect((async () => volume.device.flush())()).rejects.toMatchObject({
      code: 'ERR_FAILED',
    });
    expect(await read(volume.openSnapshot(id), 0)).toEqual(filled(3));
  });
});

test('a full store refuses first writes, keeps its snapshots, and deleting makes room', async () => {
  const { save, volume } = await makeWorld(384 << 10);
  const random = createRandom(1);
  const content = random.fill(new Uint8Array(BLOCKS * BLOCK));
  await volume.device.write(content, 0);
  const { id } = await volume.createSnapshot();
  const past = volume.openSnapshot(id);
  let refused = -1;
  let written = 0;
  for (let block = 0; block < BLOCKS; block += 1) {
    try {
      await volume.device.write(filled(9), block * BLOCK);
      written = block;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_NO_SPACE' });
      refused = block;
      break;
    }
  }
  expect(refused).toBeGreaterThan(0);
  await volume.device.flush();
  await volume.device.write(filled(8), written * BLOCK); // saved already: needs no space
  const bytes = new Uint8Array(BLOCKS * BLOCK);
  await past.readInto(bytes, 0);
  expect(Buffer.compare(bytes, content)).toBe(0);
  expect(await read(volume.device, refused)).toEqual(
    content.subarray(refused * BLOCK, (refused + 1) * BLOCK),
  );
  await volume.deleteSnapshot(id);
  await volume.createSnapshot();
  await volume.device.write(filled(7), refused * BLOCK);
  await volume.device.flush();
  expect((await save.verify({ data: true })).problems).toEqual([]);
});

describe('coming and going', () => {
  test('volumes and snapshots are found again, with what was kept with them', async () => {
    const { save, volume, clone, saveFaults } = await makeWorld();
    await volume.device.write(filled(1), 0);
    const { id } = await volume.createSnapshot({ name: 'monday', labels: ['a'] });
    await volume.device.write(filled(2), 0);
    await volume.close();
    await save.close();
    const again = await openSaveVolume(saveFaults.device);
    expect(listProductionVolumes(again)).toEqual([
      {
        id: volume.id,
        size: BLOCKS * BLOCK,
        attributes: { name: 'prod' },
        snapshots: [{ id, size: BLOCKS * BLOCK, attributes: { name: 'monday', labels: ['a'] } }],
      },
    ]);
    const reopened = await openProductionVolume(again, volume.id, clone);
    expect(await read(reopened.openSnapshot(id), 0)).toEqual(filled(1));
    expect(await read(reopened.device, 0)).toEqual(filled(2));
  });

  test('an image of another size is refused with both numbers', async () => {
    const { save, volume } = await makeWorld();
    await volume.close();
    const shrunk = createMemoryDevice({ size: (BLOCKS - 1) * BLOCK });
    await expect(openProductionVolume(save, volume.id, shrunk)).rejects.toThrow(
      /258048 bytes, the volume was 262144/,
    );
    await expect(
      createProductionVolume(save, createMemoryDevice({ blockSize: 512, size: 5120 })),
    ).rejects.toThrow(/5120 bytes is not a whole number .*truncate -s 8192/);
  });

  test('a volume goes only without snapshots, and its image is plain and complete', async () => {
    const { save, volume, clone } = await makeWorld();
    const { id } = await volume.createSnapshot();
    await volume.device.write(filled(5), 3 * BLOCK);
    await volume.close();
    await expect(removeProductionVolume(save, volume.id)).rejects.toMatchObject({
      code: 'ERR_IN_USE',
    });
    const again = await openProductionVolume(save, volume.id, clone);
    await again.deleteSnapshot(id);
    await again.close();
    await removeProductionVolume(save, volume.id);
    expect(listProductionVolumes(save)).toEqual([]);
    expect(await read(clone, 3)).toEqual(filled(5));
    await save.checkpoint();
    expect((await save.verify()).problems).toEqual([]);
  });

  test('a deleted snapshot answers that it is gone, not with other bytes (N2)', async () => {
    const { volume } = await makeWorld();
    const { id } = await volume.createSnapshot();
    const past = volume.openSnapshot(id);
    await volume.deleteSnapshot(id);
    await expect(read(past, 0)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
    await expect(volume.deleteSnapshot(id)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });
});
