/**
 * The engine as a library, in memory: a production volume, a snapshot before a change, and a branch
 * to try something on. Any two BlockDevices would do in place of the memory devices.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { createProductionVolume } from '@palimpsest/ro-snapshot';
import { createBranch, openBranch } from '@palimpsest/rw-snapshot';
import { formatSaveVolume, openSaveVolume } from '@palimpsest/save-volume';

const text = async (device) => {
  const block = new Uint8Array(device.blockSize);
  await device.readInto(block, 0);
  return new TextDecoder().decode(block).replaceAll('\0', '');
};
const write = async (device, words) => {
  const block = new Uint8Array(device.blockSize);
  new TextEncoder().encodeInto(words, block);
  await device.write(block, 0);
};
const expect = (actual, expected) => {
  console.log(`  ${actual}`);
  if (actual !== expected) throw new Error(`expected "${expected}"`);
};

// A store: one save volume for the old blocks, the branch blocks and all metadata ...
const saveDevice = createMemoryDevice({ size: 64 << 20 });
await formatSaveVolume(saveDevice);
const save = await openSaveVolume(saveDevice);
// ... and a production volume, which stays the plain disk it was.
const disk = createMemoryDevice({ size: 16 << 20 });
await write(disk, 'the first text');
const prod = await createProductionVolume(save, disk, { name: 'prod' });

const monday = await prod.createSnapshot({ name: 'monday' });
await write(prod.device, 'the second text'); // held until the old block is saved
await prod.device.flush(); // saves the old block, then overwrites it: durable, in that order

const past = prod.openSnapshot(monday.id);
const base = { volume: prod.id, snapshot: monday.id };
const { id } = await createBranch(save, base, { name: 'dev' });
const branch = await openBranch(save, id, () => past);
await write(branch.device, 'a third text, on the branch only');

console.log('production, the raw disk beneath it, the snapshot, the branch:');
expect(await text(prod.device), 'the second text');
expect(await text(disk), 'the second text');
expect(await text(past), 'the first text');
expect(await text(branch.device), 'a third text, on the branch only');

await branch.device.flush(); // from here on the branch's block survives a crash
await branch.close();
await past.close();
await prod.close();
await save.close();
