/**
 * What branches cost: reading against depth, and ten thousand of them. On memory devices, so that what
 * is measured is the engine's own work. Prints two tables.
 *
 *   node --expose-gc --conditions=@palimpsest/source --import tsx packages/rw-snapshot/measure/costs.mts
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';
import {
  type Base,
  type Branch,
  createBranch,
  createBranchSnapshot,
  listBranches,
  openBranch,
  resumeBranchDeletions,
} from '../src/index.js';

const BLOCK = 4096;
const BLOCKS = 8192;
const DEPTHS = [1, 2, 4, 8, 16, 32, 64];
const READS = 100_000;
const MANY = Number(process.env.BRANCHES ?? 10_000);

async function makeStore(bytes: number, blocks: number) {
  const device = createMemoryDevice({ blockSize: BLOCK, size: bytes });
  await formatSaveVolume(device, { blockSize: BLOCK });
  const save = await openSaveVolume(device);
  const image = createMemoryDevice({ blockSize: BLOCK, size: blocks * BLOCK });
  const volume = await createProductionVolume(save, image);
  const { id: snapshot } = await volume.createSnapshot();
  const base: Base = { volume: volume.id, snapshot };
  return { device, save, volume, base };
}

/** Of this process, so that a busy machine changes little. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** CPU microseconds. */
async function costOfRead(branch: Branch): Promise<number> {
  const target = new Uint8Array(BLOCK);
  const start = cpuMs();
  for (let read = 0; read < READS; read += 1) {
    const completion = branch.device.readInto(target, ((read * 2654435761) % BLOCKS) * BLOCK);
    if (completion !== undefined) await completion;
  }
  return ((cpuMs() - start) * 1000) / READS;
}

/** Every layer has a few blocks of its own; a read is of the top, of any layer, or of the bottom. */
async function depth(): Promise<void> {
  const { save, volume, base: bottom } = await makeStore(512 << 20, BLOCKS);
  const beneath = ({ snapshot }: Base) => volume.openSnapshot(snapshot);
  console.log('| depth | CPU us a read, first pass | again |\n| --- | --- | --- |');
  let base = bottom;
  for (let level = 1; level <= 64; level += 1) {
    const { id, space } = await createBranch(save, base);
    const branch = await openBranch(save, id, beneath);
    const block = new Uint8Array(BLOCK).fill(level);
    for (let index = 0; index < 64; index += 1) {
      await branch.device.write(block, ((level * 977 + index * 131) % BLOCKS) * BLOCK);
    }
    await branch.device.flush();
    if (DEPTHS.includes(level)) {
      const first = await costOfRead(branch);
      const again = await costOfRead(branch);
      console.log(`| ${level} | ${first.toFixed(1)} | ${again.toFixed(1)} |`);
    }
    const { id: snapshot } = await branch.createSnapshot();
    await branch.close();
    base = { volume: space, snapshot };
  }
}

async function many(): Promise<void> {
  const { device, save, volume, base } = await makeStore(512 << 20, 64);
  const beneath = ({ snapshot }: Base) => volume.openSnapshot(snapshot);
  console.log(`\n| ${MANY} branches | CPU ms |\n| --- | --- |`);
  const timed = async (name: string, work: () => Promise<unknown> | unknown): Promise<void> => {
    const start = cpuMs();
    await work();
    console.log(`| ${name} | ${Math.round(cpuMs() - start)} |`);
  };
  await timed('create all, one after the other', async () => {
    for (let made = 0; made < MANY; made += 1) {
      await createBranch(save, base, { name: `branch-${made}` });
    }
  });
  await timed('a snapshot of each', async () => {
    for (const { id } of listBranches(save)) await createBranchSnapshot(save, id);
  });
  await timed('list once', () => listBranches(save));
  globalThis.gc?.();
  const before = process.memoryUsage();
  const open: Branch[] = [];
  await timed('open all', async () => {
    for (const { id } of listBranches(save)) open.push(await openBranch(save, id, beneath));
  });
  globalThis.gc?.();
  const after = process.memoryUsage();
  const bytes = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  console.log(`| memory of an open branch that is idle, bytes | ${Math.round(bytes / MANY)} |`);
  await timed('close all', async () => {
    for (const branch of open) await branch.close();
  });
  await volume.close();
  await save.close();
  await timed('open the store, and look for what was left undone', async () => {
    await resumeBranchDeletions(await openSaveVolume(device));
  });
}

await depth();
await many();
