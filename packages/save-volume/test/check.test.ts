/**
 * Goal: a check of a store that will not open tells part by part what is there and what is damaged, names
 * the objects, says what to do, and writes nothing.
 * Method: damage one part at a time, on a device that refuses every change.
 */
import { type BlockDevice, createMemoryDevice, readOnly } from '@palimpsest/block-device';
import { expect, test } from 'vitest';
import {
  type CheckReport,
  checkSaveVolume,
  formatSaveVolume,
  openSaveVolume,
} from '../src/index.js';

const BLOCK = 512;
const object = new TextEncoder().encode('{"type":"volume"}');

async function store(): Promise<BlockDevice> {
  const device = createMemoryDevice({ blockSize: BLOCK, size: 512 << 10 });
  await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 16_384 });
  const save = await openSaveVolume(device);
  await save.transact((batch) => batch.object(1, object));
  const put = (from: number) =>
    save.transact((batch) => {
      for (let block = from; block < from + 20; block += 1) {
        batch.put(1, block, 3, new Uint8Array(BLOCK).fill(block));
      }
    });
  for (let from = 0; from < 200; from += 20) await put(from);
  await save.checkpoint();
  await put(300);
  await put(400);
  return device; // as after kill -9
}

async function spoil(device: BlockDevice, block: number, at = 40): Promise<void> {
  const bytes = new Uint8Array(BLOCK);
  await device.readInto(bytes, block * BLOCK);
  bytes[at] = (bytes[at] as number) ^ 8;
  await device.write(bytes, block * BLOCK);
}

const check = (device: BlockDevice) => checkSaveVolume(readOnly(device));
const damaged = ({ parts }: CheckReport) =>
  parts.filter(({ sound }) => !sound).map(({ part }) => part);

test('a sound store', async () => {
  const report = await check(await store());
  expect(damaged(report)).toEqual([]);
  expect(report).toMatchObject({ opens: true, objects: [], audit: { problems: [], entries: 240 } });
  expect(report.parts.find(({ part }) => part === 'journal')?.found).toMatch(/2 records/);
});

test('both superblocks', async () => {
  const device = await store();
  await spoil(device, 0);
  await spoil(device, 8);
  const report = await check(device);
  expect(report.opens).toBe(false);
  expect(damaged(report)).toEqual([
    'superblock 0',
    'superblock 1',
    'current superblock',
    'opening',
  ]);
  expect(report.advice.at(-1)).toContain('production is not');
});

test('a record in the midst of the journal', async () => {
  const device = await store();
  await spoil(device, 16, 100);
  const report = await check(device);
  expect(report.opens).toBe(false);
  expect(damaged(report)).toContain('journal');
  expect(report.parts.find(({ sound }) => !sound)?.found).toMatch(/are missing/);
});

test('a list, a page and a saved block', async () => {
  const device = await store();
  const save = await openSaveVolume(createCopy(await bytesOf(device)));
  const { objectsStart, blocksRoot } = save.superblock;
  const entry = await save.find(1, 310, 3);
  const image = await bytesOf(device);
  const cases: [number, string, boolean][] = [
    [objectsStart, 'object list', false],
    [blocksRoot, 'block map', true],
    [entry?.address as number, 'block map', true],
  ];
  for (const [address, part, opens] of cases) {
    const copy = createCopy(image);
    await spoil(copy, address);
    const report = await check(copy);
    expect(report.opens, part).toBe(opens);
    expect(damaged(report)).toContain(part);
    if (opens) expect(report.objects).toEqual([1]);
    expect(report.advice.length).toBeGreaterThan(1);
  }
});

async function bytesOf(device: BlockDevice): Promise<Uint8Array> {
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  return bytes;
}

function createCopy(bytes: Uint8Array): BlockDevice {
  const copy = createMemoryDevice({ blockSize: BLOCK, size: bytes.length });
  copy.write(bytes, 0);
  return copy;
}
