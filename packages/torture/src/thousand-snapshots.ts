/**
 * A thousand snapshots with churn between them, in counts of device calls, not in times: making one
 * costs the same from the first to the last, the oldest reads as cheaply as the youngest, deleting
 * them in random order gives back exactly what was predicted, and in the end the store is empty.
 */
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type FailingDevice, failing } from '@palimpsest/block-device/testing';
import { createProductionVolume, type ProductionVolume } from '@palimpsest/ro-snapshot';
import { gainOfDeleting } from '@palimpsest/rw-snapshot';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import { demand, Violation } from './compare.js';
import { identify } from './payload.js';
import { payload } from './session.js';

const BLOCK = 512;
const BLOCKS = 256;
/** Blocks written between two snapshots. */
const CHURN = 12;
/** Snapshots whose cost is compared, at either end. */
const SAMPLE = 100;
const READS = 200;

/** What it came to. */
export interface ThousandReport {
  readonly snapshots: number;
  /** Device calls to make one, on average, of the first and of the last. */
  readonly createFirst: number;
  readonly createLast: number;
  /** Device calls to read a block, on average, of the oldest and of the youngest. */
  readonly readOldest: number;
  readonly readYoungest: number;
  /** Bytes that the deletions gave back, each as predicted. */
  readonly returnedBytes: number;
}

interface Store {
  readonly save: SaveVolume;
  readonly volume: ProductionVolume;
  readonly disks: readonly FailingDevice[];
}

/** Makes and deletes that many snapshots. @throws {Violation} */
export async function thousandSnapshots(count: number): Promise<ThousandReport> {
  const random = createRandom(count);
  const disks = [BLOCK * (count * (CHURN + 4) * 2 + 4096), BLOCK * BLOCKS].map((size) =>
    failing(createMemoryDevice({ size, blockSize: BLOCK })),
  );
  const [disk, clone] = disks.map(({ device }) => device) as [BlockDevice, BlockDevice];
  await formatSaveVolume(disk, { blockSize: BLOCK, journalBytes: 256 * 1024 });
  const save = await openSaveVolume(disk);
  const volume = await createProductionVolume(save, clone);
  const store = { save, volume, disks };
  await volume.device.write(payload(1, 0, BLOCKS), 0);
  await volume.device.flush();
  await save.checkpoint();
  const empty = dataBlocks(save);
  const present = new Int32Array(BLOCKS).fill(1);
  const taken: { id: number; content: Int32Array; cost: number }[] = [];
  for (let write = 2; taken.length < count; ) {
    const before = calls(store);
    const { id } = await volume.createSnapshot();
    taken.push({ id, content: present.slice(), cost: calls(store) - before });
    for (let left = CHURN; left > 0; left--, write++) {
      const block = random.below(BLOCKS);
      await volume.device.write(payload(write, block, 1), block * BLOCK);
      present[block] = write;
    }
    await volume.device.flush();
  }
  const costs = taken.map(({ cost }) => cost);
  const [oldest, youngest] = [taken[0], taken.at(-1)] as [(typeof taken)[0], (typeof taken)[0]];
  const report = {
    snapshots: count,
    createFirst: median(costs.slice(0, SAMPLE)),
    createLast: median(costs.slice(-SAMPLE)),
    readOldest: await readCost(store, oldest.id, oldest.content),
    readYoungest: await readCost(store, youngest.id, youngest.content),
  };
  demand(complaint(report));
  const returnedBytes = await deleteAll(store, taken, random);
  if (dataBlocks(save) !== empty) {
    throw new Violation(`R10: ${dataBlocks(save) - empty} blocks are in use when all is deleted`);
  }
  const { problems } = await save.verify({ data: true });
  if (problems.length > 0) throw new Violation(`audit: ${problems.slice(0, 3).join('; ')}`);
  await volume.close();
  await save.close();
  return { ...report, returnedBytes };
}

async function deleteAll(
  store: Store,
  taken: readonly { id: number; content: Int32Array }[],
  random: ReturnType<typeof createRandom>,
): Promise<number> {
  const { save, volume } = store;
  const left = [...taken];
  let returned = 0;
  while (left.length > 0) {
    const [each] = left.splice(random.below(left.length), 1) as [(typeof left)[0]];
    await save.commit();
    const predicted = await gainOfDeleting(save, [each.id]);
    const before = dataBlocks(save);
    await volume.deleteSnapshot(each.id);
    const gained = (before - dataBlocks(save)) * BLOCK;
    if (gained !== predicted) {
      throw new Violation(`R10: a deletion gave back ${gained} bytes, ${predicted} were predicted`);
    }
    returned += gained;
    const other = left[random.below(Math.max(1, left.length))];
    if (other !== undefined && left.length % 10 === 0)
      await readCost(store, other.id, other.content);
  }
  return returned;
}

/** Device calls to read a block, on average; what is read is compared. */
async function readCost(store: Store, id: number, content: Int32Array): Promise<number> {
  const device = store.volume.openSnapshot(id);
  const bytes = new Uint8Array(BLOCK);
  const random = createRandom('reads');
  const before = calls(store);
  for (let left = READS; left > 0; left--) {
    const block = random.below(BLOCKS);
    await device.readInto(bytes, block * BLOCK);
    const [read] = identify(bytes, block);
    if (read !== content[block]) {
      throw new Violation(`R4: block ${block} of ${id} is ${read}, not ${content[block]}`);
    }
  }
  const cost = (calls(store) - before) / READS;
  await device.close();
  return cost;
}

function calls({ disks }: Store): number {
  let sum = 0;
  for (const { calls } of disks) sum += calls.read + calls.write + calls.flush;
  return sum;
}

/** Blocks in use that are no pages of the map and of the two lists. */
function dataBlocks(save: SaveVolume): number {
  const { usedBytes, mapBytes } = save.space();
  return (usedBytes - mapBytes) / save.blockSize - save.chainAddresses.length;
}

function complaint({
  createFirst,
  createLast,
  readOldest,
  readYoungest,
}: {
  readonly createFirst: number;
  readonly createLast: number;
  readonly readOldest: number;
  readonly readYoungest: number;
}): string | undefined {
  if (createLast > createFirst + 1)
    return `a snapshot costs ${createLast} calls, not ${createFirst}`;
  if (readOldest <= readYoungest * 1.1 + 0.1) return undefined;
  return `a block of the oldest costs ${readOldest} calls, of the youngest ${readYoungest}`;
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] as number;
}
