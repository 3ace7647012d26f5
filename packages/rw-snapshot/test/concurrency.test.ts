/**
 * Goal: with many writes, reads, snapshots and flushes in flight at once, every block of production
 * and of each branch behaves as a register (a read returns a value that was written and not certainly
 * overwritten before), a snapshot is one instant of it (R5), and never changes afterwards (I1).
 * Method: workers on devices whose calls overtake each other; every write has a value of its own, and
 * its start and end on one clock; then each value read is checked against those intervals.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, jitter, type Random } from '@palimpsest/block-device/testing';
import { createProductionVolume, type ProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import { expect, test } from 'vitest';
import { createBranch, openBranch } from '../src/index.js';

const BLOCK = 512;
const BLOCKS = 12;
const SIZE = BLOCK * BLOCKS;
const SEEDS = Array.from({ length: Number(process.env.SEEDS ?? 40) }, (_, index) => index + 1);

interface Write {
  readonly value: number;
  readonly start: number;
  end: number;
}

class History {
  readonly blocks: Write[][] = Array.from({ length: BLOCKS }, () => [
    { value: 0, start: -2, end: -1 },
  ]);
  readonly problems: string[] = [];
  #clock = 0;
  #value = 0;

  now(): number {
    this.#clock += 1;
    return this.#clock;
  }

  async write(device: BlockDevice, first: number, count: number): Promise<void> {
    const bytes = new Uint8Array(count * BLOCK);
    const view = new DataView(bytes.buffer);
    const start = this.now();
    const writes: Write[] = [];
    for (let index = 0; index < count; index += 1) {
      this.#value += 1;
      view.setUint32(index * BLOCK, this.#value);
      view.setUint32((index + 1) * BLOCK - 4, this.#value);
      const write = { value: this.#value, start, end: Number.POSITIVE_INFINITY };
      writes.push(write);
      this.blocks[first + index]?.push(write);
    }
    await device.write(bytes, first * BLOCK);
    const end = this.now();
    for (const write of writes) write.end = end;
  }

  /** Checks bytes read between `start` and `end` against what was written to `blocks` by then. */
  check(what: string, bytes: Uint8Array, first: number, start: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let index = 0; index * BLOCK < bytes.length; index += 1) {
      const value = view.getUint32(index * BLOCK);
      const writes = this.blocks[first + index] as Write[];
      if (view.getUint32((index + 1) * BLOCK - 4) !== value) {
        this.problems.push(`${what}: block ${first + index} is torn`);
        continue;
      }
      const write = writes.find((other) => other.value === value);
      const overwritten =
        write && writes.some((other) => other.start > write.end && other.end < start);
      if (write === undefined || write.start > end || overwritten) {
        this.problems.push(`${what}: block ${first + index} has value ${value}`);
      }
    }
  }
}

async function traffic(
  device: BlockDevice,
  history: History,
  random: Random,
  steps: number,
): Promise<void> {
  for (let step = 0; step < steps; step += 1) {
    const first = random.below(BLOCKS);
    const count = random.between(1, Math.min(4, BLOCKS - first));
    const kind = random.below(10);
    if (kind < 6) await history.write(device, first, count);
    else if (kind < 9) {
      const bytes = new Uint8Array(count * BLOCK);
      const start = history.now();
      await device.readInto(bytes, first * BLOCK);
      history.check('a read', bytes, first, start, history.now());
    } else await device.flush();
  }
}

async function whole(device: BlockDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(SIZE);
  await device.readInto(bytes, 0);
  return bytes;
}

/** Takes snapshots while there is traffic; reads each at once, and hands it over for a later look. */
async function snapshots(
  volume: ProductionVolume,
  history: History,
  random: Random,
): Promise<{ id: number; bytes: Uint8Array }[]> {
  const taken: { id: number; bytes: Uint8Array }[] = [];
  for (let count = 0; count < 6; count += 1) {
    const start = history.now();
    const { id } = await volume.createSnapshot();
    const end = history.now();
    const bytes = await whole(volume.openSnapshot(id));
    history.check(`snapshot ${id}`, bytes, 0, start, end);
    taken.push({ id, bytes });
    for (let turn = random.below(60); turn > 0; turn -= 1) await Promise.resolve();
    if (taken.length > 2 && random.chance(0.4)) {
      const [gone] = taken.splice(random.below(taken.length), 1);
      await volume.deleteSnapshot(gone?.id as number);
    }
  }
  return taken;
}

test.each(SEEDS)('blocks are registers, snapshots are instants (seed %i)', async (seed) => {
  const random = createRandom(seed);
  // Each device has its own pace: a slow image beneath a quick save volume is where races are.
  const late = (size: number) =>
    jitter(createMemoryDevice({ blockSize: BLOCK, size }), {
      random: random.fork(size),
      maxTurns: random.pick([0, 2, 12, 100]),
    });
  const saveDevice = late(256 << 10);
  await formatSaveVolume(saveDevice, { blockSize: BLOCK, journalBytes: 16_384 });
  const save = await openSaveVolume(saveDevice, {
    dirtyBytes: BLOCK * random.between(4, 40),
    cacheBytes: 1,
  });
  const volume = await createProductionVolume(save, late(SIZE));
  const { id: first } = await volume.createSnapshot();
  const { id: branchId } = await createBranch(save, { volume: volume.id, snapshot: first });
  const branch = await openBranch(save, branchId, () => volume.openSnapshot(first));
  const production = new History();
  const own = new History();
  const [taken] = await Promise.all([
    snapshots(volume, production, random.fork('snapshots')),
    ...[1, 2, 3, 4, 5].map((worker) =>
      traffic(volume.device, production, random.fork(`production ${worker}`), 60),
    ),
    ...[1, 2, 3].map((worker) => traffic(branch.device, own, random.fork(`branch ${worker}`), 40)),
  ]);
  const end = production.now();
  production.check('production at the end', await whole(volume.device), 0, end, end);
  const ownEnd = own.now();
  own.check('the branch at the end', await whole(branch.device), 0, ownEnd, ownEnd);
  for (const { id, bytes } of taken) {
    expect(await whole(volume.openSnapshot(id)), `snapshot ${id} has changed`).toEqual(bytes);
  }
  expect(await whole(volume.openSnapshot(first)), 'the first snapshot').toEqual(
    new Uint8Array(SIZE),
  );
  expect([...production.problems, ...own.problems]).toEqual([]);
  expect((await save.verify({ data: true })).problems).toEqual([]);
});
