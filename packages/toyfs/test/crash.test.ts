/**
 * Goal: after a crash at any point, with any part of what was not flushed lost or torn, the file
 * system opens, and holds a state that it had: not older than the last sync that was answered, not
 * newer than the last operation. Files hold bytes of that state; where a later operation had begun to
 * change bytes in place, old or new ones (R20). And e2fsck agrees.
 * Method: a history on a disk of the crash world, then images at every point by every policy. Each is
 * opened, which replays; compared; opened once more; now and then checked by e2fsck, as it is after
 * our recovery, and as e2fsck itself recovers it, and by our own `check`, dirty and recovered. Every third history is on an image that mke2fs made,
 * with metadata_csum. Where its superblock is torn e2fsck gives up, whoever has written it: there it is
 * asked only after our recovery, which does not.
 */

import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { type CrashWorld, createCrashWorld, createRandom } from '@palimpsest/block-device/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { check, format, openFileSystem } from '../src/index.js';
import { SuperblockSeal } from '../src/seals/block-seals.js';
import { done, isOurs } from './support/floors.js';
import { contentsOf, EMPTY, type State, shapeOf, step } from './support/history.js';
import { complaints, deviceOf, hasTools, repaired, run, scratch } from './support/tools.js';

const IMAGES = Number(process.env.TOYFS_CRASH_IMAGES ?? 120);
const SAMPLES = Number(process.env.TOYFS_E2FSCK ?? 4);
const PER_SEED = 60;
/** Whether there are so many that not each needs to be looked at in every way. */
const isMany = IMAGES > 1000;
/** Our own check takes each so manieth image, before and after its recovery. */
const CHECK_EACH = isMany ? 20 : 10;
/** e2fsck recovers each so manieth of the samples. */
const REPAIR_EACH = isMany ? 10 : 1;

/** Who made the image, and how large it is. */
interface Kind {
  readonly isSummed: boolean;
  readonly size: number;
}

function kindOf(seed: number): Kind {
  const isSummed = hasTools && seed % 3 === 2;
  return { isSummed, size: (isSummed ? 12 : 8) << 20 };
}

async function make(disk: BlockDevice, kind: Kind, seed: number): Promise<void> {
  if (!kind.isSummed) {
    await format(disk, { now: () => 1e12, uuid: new Uint8Array(16).fill(seed & 0xff) });
    return;
  }
  summed ??= makeSummed(kind);
  await copyTo(disk, await summed);
  await disk.flush();
}

/** The image of mke2fs that histories begin with: made once. */
let summed: Promise<BlockDevice> | undefined;

async function makeSummed({ size }: Kind): Promise<BlockDevice> {
  using folder = scratch();
  const file = `${folder.path}/image`;
  run('mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-J', 'size=4', file, `${size >> 10}k`]);
  return await deviceOf(file, 512);
}

/** A state, and the point of the trace since which it is the file system's. */
interface Moment {
  readonly state: State;
  readonly point: number;
}

/** What a history left: the world, every state, and which state was durable from which point on. */
interface History {
  readonly kind: Kind;
  readonly world: CrashWorld;
  readonly moments: readonly Moment[];
  readonly durable: readonly { readonly point: number; readonly index: number }[];
}

async function record(seed: number): Promise<History> {
  const random = createRandom(`crash ${seed}`);
  const world = createCrashWorld({ seed });
  const kind = kindOf(seed);
  const disk = world.device('disk', { blockSize: 512, size: kind.size });
  await make(disk, kind, seed);
  const start = world.point;
  let fs = await openFileSystem(disk, { timer: undefined, now: () => 1e12 });
  const moments: Moment[] = [{ state: EMPTY, point: start }];
  const durable = [{ point: start, index: 0 }];
  for (let i = 0; i < 40; i++) {
    const { state } = await step(fs, (moments.at(-1) as Moment).state, random);
    moments.push({ state, point: world.point });
    const index = moments.length - 1;
    if (random.chance(0.15)) await fs.sync();
    else if (random.chance(0.04)) {
      await fs.freeze();
      await fs.thaw();
    } else if (random.chance(0.03)) {
      await fs.close();
      fs = await openFileSystem(disk, { timer: undefined, now: () => 1e12 });
    } else continue;
    durable.push({ point: world.point, index });
  }
  await fs.sync();
  durable.push({ point: world.point, index: moments.length - 1 });
  return { kind, world, moments, durable };
}

/** Throws unless the file system is in a state that it may be in after a crash at `point`. */
async function compare(history: History, point: number, device: BlockDevice) {
  const fs = await openFileSystem(device, { timer: undefined, now: () => 1e12 });
  expect(fs.report.readOnlyReason).toBeUndefined();
  const { shape, files } = await contentsOf(fs);
  const { moments, durable } = history;
  const first = durable.findLast((each) => each.point <= point)?.index ?? 0;
  // A commit takes what had been done when it began: states of operations up to this point.
  const last = moments.findLastIndex((each) => each.point <= point);
  const allowed = moments.slice(first, Math.max(first, last) + 1).map(({ state }) => state);
  const isRight = allowed.some(
    (state, i) => shapeOf(state) === shape && bytesFit(files, state, allowed.slice(i)),
  );
  if (!isRight) {
    const shapes = allowed.map((state) => shapeOf(state));
    throw new Error(
      `${shapes.includes(shape) ? 'bytes' : 'names'} of no state in ${first}..${last}:\n${shape}\n--- last:\n${shapes.at(-1)}`,
    );
  }
  await fs.close();
}

/** Whether each byte is that of the state, or of a later one: changes in place may have begun. */
function bytesFit(files: Map<string, Buffer>, state: State, later: readonly State[]): boolean {
  for (const [path, bytes] of files) {
    const id = state.names.get(path) as number;
    const versions = later
      .map(({ nodes }) => nodes.get(id))
      .flatMap((node) => (node?.kind === 'file' ? [node.bytes] : []));
    const different = new Set(versions);
    if (versions[0]?.equals(bytes) === true) continue;
    for (let i = 0; i < bytes.length; i++) {
      let isKnown = false;
      for (const version of different) isKnown ||= (version[i] ?? 0) === bytes[i];
      if (!isKnown) return false;
    }
  }
  return true;
}

describe('crashes', () => {
  let images = 0;
  let samples = 0;
  const seeds = Math.ceil(IMAGES / PER_SEED);
  for (let seed = 1; seed <= seeds; seed++) {
    if (!isOurs(seed)) continue;
    test(`of history ${seed}`, async () => {
      const history = await record(seed);
      const { world, durable } = history;
      const from = durable[0]?.point ?? 0;
      const points = world.point - from;
      const random = createRandom(`images ${seed}`);
      for (let i = 0; i < PER_SEED; i++) {
        const point =
          from + Math.floor((i * points) / PER_SEED) + random.below(Math.ceil(points / PER_SEED));
        const at = Math.min(point, world.point);
        const policy = random.pick(world.policies(at));
        const crashed = world.crash(at, policy);
        const where = `SEED=${seed} POINT=${at} POLICY=${JSON.stringify(policy)}`;
        try {
          // Spread evenly, over the histories and within them.
          const isSample = hasTools && ((seed * PER_SEED + i) * SAMPLES) % IMAGES < SAMPLES;
          const isChecked = i % CHECK_EACH === 0;
          const isWhole = await hasWholeSuperblock(history.kind, crashed.device('disk'));
          if (isChecked && isWhole) expect(await check(crashed.device('disk'))).toEqual([]);
          const isRepaired = isSample && samples % REPAIR_EACH === 0;
          if (isRepaired && isWhole) {
            // As e2fsck recovers it.
            const copy = createMemoryDevice({
              blockSize: 512,
              size: history.kind.size,
            });
            await copyTo(copy, crashed.device('disk'));
            await compare(history, at, await repaired(copy));
          }
          // A crash in the recovery, and a second recovery.
          await compare(history, at, crashed.device('disk'));
          const again = crashed.crash(random.below(crashed.point + 1), {
            kind: 'random',
            keep: 0.5,
          });
          await compare(history, at, again.device('disk'));
          if (isChecked) expect(await check(again.device('disk'))).toEqual([]);
          if (isSample) {
            expect(await complaints(again.device('disk'))).toBe('');
            samples++;
          }
          images += 2;
        } catch (error) {
          throw new Error(where, { cause: error });
        }
      }
    });
  }
  afterAll(() => {
    console.log(`${images} crash images, ${samples} of them checked by e2fsck`);
    done('crash-images', images);
    done('crash-images-e2fsck', samples);
  });
});

async function hasWholeSuperblock({ isSummed }: Kind, device: BlockDevice): Promise<boolean> {
  if (!isSummed) return true;
  const bytes = new Uint8Array(1024);
  await device.readInto(bytes, 1024);
  return new SuperblockSeal(0).fits({ bytes, view: new DataView(bytes.buffer) });
}

async function copyTo(to: BlockDevice, from: BlockDevice): Promise<void> {
  const bytes = new Uint8Array(from.size);
  await from.readInto(bytes, 0);
  await to.write(bytes, 0);
}
