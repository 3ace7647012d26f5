/**
 * Goal: restores, cancelled, repeated and overlapping, with snapshots taken and deleted in the midst
 * and clients writing, never show anything but what plain arrays say (I7, R8), also after a power cut
 * at any event.
 *
 * Method: seeded histories over a few dozen blocks. Without crashes everything is compared after each
 * step. With crashes a history runs once; then, for each event, the disks are cut there, the store is
 * opened, and production may hold only what was flushed or written later, while snapshots and the
 * start of a restore are there or not. Then the copy-back is run to its end and all is compared again.
 */
import { createRandom } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import { listProductionVolumes, openProductionVolume } from '../src/index.js';
import {
  BLOCK,
  BLOCKS,
  type Content,
  type Moment,
  openStore,
  RestoreHistory,
  readAll,
} from './restore-history.js';

const HISTORIES = Number(process.env.RESTORE_HISTORIES ?? 12);
const CRASHED = Number(process.env.RESTORE_CRASHED ?? 4);
const FIRST = Number(process.env.RESTORE_SEED ?? 1);

test.each(Array.from({ length: HISTORIES }, (_, index) => FIRST + index))(
  'a history of restores agrees with plain arrays (seed %i)',
  { timeout: 60_000 },
  async (seed) => {
    const history = new RestoreHistory(seed);
    await history.begin();
    for (let step = 0; step < 120; step += 1) {
      await history.step();
      const complaint = await history.complain();
      if (complaint !== undefined) {
        throw new Error(`${history.log.slice(-40).join('\n')}\n${complaint}`);
      }
    }
    await history.finish();
    expect(await history.complain()).toBeUndefined();
    expect(history.volume.restores).toEqual([]);
    const report = await history.save.verify({ data: true });
    expect(report.problems).toEqual([]);
  },
);

test.each(Array.from({ length: CRASHED }, (_, index) => FIRST + 1000 + index))(
  'after a power cut at any event a restore goes on, and nothing is lost (seed %i)',
  { timeout: 240_000 },
  async (seed) => {
    const history = new RestoreHistory(seed);
    await history.begin();
    for (let step = 0; step < 40; step += 1) await history.step();
    const { world } = history;
    const random = createRandom(seed);
    for (let point = history.start; point <= world.point; point += 1) {
      const policies = world.policies(point);
      const policy = policies[random.below(policies.length)];
      if (policy === undefined) continue;
      try {
        await checkCrash(history, point, world.crash(point, policy, createRandom(seed + point)));
      } catch (cause) {
        const event = JSON.stringify({ ...world.trace[point], sectors: undefined });
        throw new Error(
          `point ${point} ${JSON.stringify(policy)} ${event}\n${history.log.join('\n')}\n${cause}`,
          { cause },
        );
      }
    }
  },
);

async function checkCrash(
  history: RestoreHistory,
  point: number,
  world: RestoreHistory['world'],
): Promise<void> {
  const { save, clone } = await openStore(world);
  const id = listProductionVolumes(save)[0]?.id as number;
  const volume = await openProductionVolume(save, id, clone);
  const seen = [...(await readAll(volume.device))];
  assertPossible(
    history,
    point,
    seen,
    volume.snapshots.map((each) => each.id),
  );
  const ids = new Set(volume.snapshots.map((each) => each.id));
  for (const life of history.lives) {
    if (life.id === 0 || life.begin > point) continue;
    if (life.there <= point && life.going > point)
      expect(ids.has(life.id), `${life.id}`).toBe(true);
    if (ids.has(life.id)) {
      expect(await readAll(volume.openSnapshot(life.id)), `snapshot ${life.id}`).toEqual(
        life.content,
      );
    }
  }
  // A block that was saved before the cut and is not done must be held again, never written over.
  const bytes = new Uint8Array(BLOCK).fill(0xee);
  const [value] = new Uint32Array(bytes.buffer);
  for (let block = point % 3; block < BLOCKS; block += 3) {
    await volume.device.write(bytes, block * BLOCK);
    seen[block] = value as number;
  }
  const running = volume.restores.length;
  expect(await readAll(volume.device)).toEqual(seen);
  await volume.copyBack({ stepBytes: 4096 });
  expect(await readAll(volume.device), `production after ${running} restores`).toEqual(seen);
  await volume.device.flush();
  for (const life of history.lives) {
    if (!ids.has(life.id)) continue;
    const content = await readAll(volume.openSnapshot(life.id));
    expect(content, `snapshot ${life.id} at the end`).toEqual(life.content);
  }
  expect(await readAll(clone)).toEqual(seen);
  const report = await save.verify({ data: true });
  expect(report.problems).toEqual([]);
  await volume.close();
}

/** Each block holds its last durable value or a later one; a restore has happened or has not. */
function assertPossible(
  history: RestoreHistory,
  point: number,
  seen: Content,
  snapshots: readonly number[],
): void {
  let moments: Moment[] = [];
  for (const moment of history.moments) {
    if (moment.begin > point) continue;
    if (moment.restore) {
      const undo = history.lives.find((life) => life.begin === moment.begin);
      if (undo === undefined || !snapshots.includes(undo.id)) continue;
    }
    if (moment.durable && (moment.end <= point || moment.restore)) moments = [moment];
    else moments.push(moment);
  }
  for (let block = 0; block < BLOCKS; block += 1) {
    const possible = moments.map(({ content }) => content[block]);
    if (possible.includes(seen[block])) continue;
    throw new Error(`block ${block} holds ${seen[block]}, may hold ${[...new Set(possible)]}`);
  }
}
