/**
 * Goal: whenever e2fsck complains of an image, `check` does too, and never otherwise.
 * Method: images of ours and of every kind of the read set, each damaged in one place: bytes of a
 * structure turned over, or a field set by debugfs; then both are asked. Where they may differ is
 * written down below, with the reason.
 */
import { closeSync, copyFileSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { createRandom, type Random } from '@palimpsest/block-device/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { check, type Finding, format, openFileSystem } from '../../src/index.js';
import { fill } from '../support/fill.js';
import { done, isOurs } from '../support/floors.js';
import { KINDS, makeFolder, makeIndexed } from '../support/kinds.js';
import {
  chosen,
  debugfs,
  deviceOf,
  fileComplaints,
  hasTools,
  run,
  saveTo,
  scratch,
} from '../support/tools.js';
import { damageOf, type Region, regionsOf } from './damage.js';
import { debugfsDamage, type Shape } from './debugfs-damage.js';

/** Damages of each kind of image. */
const DAMAGES = Number(process.env.TOYFS_DAMAGES ?? 6);

/** Where the two may differ: what was damaged, what each says, and why. */
interface Excuse {
  readonly why: string;
  applies(damage: string, theirs: string, ours: readonly Finding[]): boolean;
}

const EXCUSES: readonly Excuse[] = [
  {
    why: 'check has no clock: a time in the future is not its affair',
    applies: (_, theirs) => /in the future/.test(theirs) && theirs.startsWith('status 0'),
  },
  {
    why: 'check does not compare the hashes of names with an index, which we do not read by',
    applies: (_, theirs, ours) =>
      ours.length === 0 &&
      theirs
        .split('\n')
        .every((line) =>
          /bad (?:min|max) hash|^Invalid HTREE directory|still has errors/.test(line),
        ),
  },
  {
    why: 'with a journal of another shape we could not open the image; e2fsck looks when it replays',
    applies: (damage, theirs, ours) =>
      damage.startsWith('journal') && theirs === '' && ours.every(({ code }) => code === 'journal'),
  },
];

interface Case {
  readonly file: string;
  readonly device: BlockDevice;
  readonly regions: ReadonlyMap<string, readonly Region[]>;
  readonly shape: Shape;
}

async function caseOf(file: string): Promise<Case> {
  const device = await deviceOf(file);
  const regions = await regionsOf(device);
  const text = run('dumpe2fs', [file]);
  const number = (name: string): number =>
    Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(text)?.[1]);
  const shape = {
    blocks: number('Block count'),
    groups: (text.match(/^Group \d+:/gm) ?? []).length,
    inodes: (regions.get('inode') ?? []).map(({ ino }) => ino as number),
    inodeCount: number('Inode count'),
  };
  return { file, device, regions, shape };
}

/** What was done, and what each says of it. */
interface Verdicts {
  readonly damage: string;
  readonly ours: readonly Finding[];
  readonly theirs: string;
}

/** Damages the image in one place and asks both. Bytes are put back. */
async function tryOne(each: Case, random: Random): Promise<Verdicts> {
  const { file, device, regions, shape } = each;
  if (random.chance(0.5)) {
    const { what, position, bytes, before } = await damageOf(device, regions, random);
    await put(each, position, bytes);
    const ours = await check(device);
    const theirs = await fileComplaints(file);
    await put(each, position, before);
    return { damage: `${what} = ${[...bytes]}, was ${[...before]}`, ours, theirs };
  }
  const copy = `${file}.damaged`;
  copyFileSync(file, copy);
  const damage = debugfsDamage(shape, random);
  await debugfs(copy, damage);
  return { damage, ours: await check(await deviceOf(copy)), theirs: await fileComplaints(copy) };
}

/** Puts bytes into the image, on the device and in the file. */
async function put({ device, file }: Case, position: number, bytes: Uint8Array): Promise<void> {
  const block = new Uint8Array(device.blockSize);
  const from = Math.floor(position / block.length) * block.length;
  await device.readInto(block, from);
  block.set(bytes, position - from);
  await device.write(block, from);
  const descriptor = openSync(file, 'r+');
  writeSync(descriptor, bytes, 0, bytes.length, position);
  closeSync(descriptor);
}

/** One of ours, with everything in it that we write. */
async function makeOwn(file: string): Promise<void> {
  const device = createMemoryDevice({ size: 12 << 20 });
  await format(device);
  const fs = await openFileSystem(device, { timer: undefined });
  await fill(fs);
  await fs.close();
  await saveTo(file, device);
}

describe.skipIf(!hasTools)('check and e2fsck agree', () => {
  const folder = scratch();
  beforeAll(() => makeFolder(join(folder.path)));
  let damages = 0;
  afterAll(() => {
    folder[Symbol.dispose]();
    done('damages', damages);
  });

  const makers = Object.entries(KINDS).map(
    ([kind, args]): [string, (file: string) => void | Promise<void>] => [
      kind,
      (file) => void run('mke2fs', [...args, '-q', '-d', folder.path, file, '12M']),
    ],
  );
  const kinds = Object.fromEntries([
    ['our own', makeOwn] as const,
    ...makers,
    ['ext4 with an index', makeIndexed] as const,
  ]);
  for (const [kind, make] of chosen(kinds)) {
    test(`of ${kind}`, async () => {
      using place = scratch();
      const file = join(place.path, 'image');
      await make(file);
      const whole = await caseOf(file);
      expect(await check(whole.device)).toEqual([]);
      expect(await fileComplaints(file)).toBe('');
      const seeds =
        process.env.TOYFS_SEED === undefined
          ? Array.from({ length: DAMAGES }, (_, i) => i + 1)
          : [Number(process.env.TOYFS_SEED)];
      const differences: string[] = [];
      for (const seed of seeds.filter(isOurs)) {
        const { damage, ours, theirs } = await tryOne(
          whole,
          createRandom(`damage ${kind} ${seed}`),
        );
        damages++;
        if (ours.length > 0 === (theirs !== '')) continue;
        if (EXCUSES.some((excuse) => excuse.applies(damage, theirs, ours))) continue;
        const said = ours
          .map(({ code, message }) => `${code}: ${message}`)
          .slice(0, 5)
          .join('\n');
        differences.push(
          `SEED=${seed} ${damage}\ne2fsck: ${theirs.split('\n').slice(0, 8).join('\n')}\ncheck: ${said}`,
        );
      }
      expect(differences.join('\n\n')).toBe('');
    });
  }
});
