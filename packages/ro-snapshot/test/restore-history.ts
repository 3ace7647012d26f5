/**
 * A seeded history of one production volume with restores, told to plain arrays, on disks of a crash
 * world. Operations come one after the other, but for what clients do in the midst of a copy-back.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { isStorageError } from '@palimpsest/block-device';
import {
  type CrashWorld,
  createCrashWorld,
  createRandom,
  type Random,
} from '@palimpsest/block-device/testing';
import { formatSaveVolume, openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import {
  createProductionVolume,
  openProductionVolume,
  type ProductionVolume,
} from '../src/index.js';

export const BLOCK = 512;
export const BLOCKS = 40;
const SAVE_BYTES = 512 << 10;

/** One value a block; 0 is a block of zeros. */
export type Content = readonly number[];

/** What production holds from `begin` (asked for) on, surely from `end` (answered) on. */
export interface Moment {
  readonly begin: number;
  end: number;
  readonly content: Content;
  /** Everything up to here is durable once `end` is reached. */
  readonly durable: boolean;
  /** Set when the moment is the start of a restore, which comes whole or not at all. */
  readonly restore: boolean;
}

/** A snapshot of the model. */
export interface Life {
  readonly content: Content;
  readonly begin: number;
  /** Answered; infinite until then. */
  there: number;
  /** Its deletion was asked for. */
  going: number;
  /** Known when it was answered. */
  id: number;
}

export async function openStore(world: CrashWorld): Promise<{
  save: SaveVolume;
  clone: BlockDevice;
}> {
  const save = await openSaveVolume(world.device('save'), {
    growBytes: 1,
    maximumBytes: SAVE_BYTES,
    dirtyBytes: BLOCK * 24,
    cacheBytes: 1,
  });
  return { save, clone: world.device('clone') };
}

export async function readAll(device: BlockDevice): Promise<Content> {
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  return Array.from({ length: device.size / BLOCK }, (_, block) => {
    const part = bytes.subarray(block * BLOCK, (block + 1) * BLOCK);
    const view = new DataView(part.buffer, part.byteOffset, BLOCK);
    const value = view.getUint32(0);
    for (let at = 0; at < BLOCK; at += 4) if (view.getUint32(at) !== value) return -1;
    return value;
  });
}

function bytesOf(values: Content): Uint8Array {
  const bytes = new Uint8Array(values.length * BLOCK);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of values.entries()) {
    for (let at = 0; at < BLOCK; at += 4) view.setUint32(index * BLOCK + at, value);
  }
  return bytes;
}

export class RestoreHistory {
  readonly world: CrashWorld;
  readonly random: Random;
  readonly moments: Moment[] = [];
  readonly lives: Life[] = [];
  readonly log: string[] = [];
  save!: SaveVolume;
  volume!: ProductionVolume;
  /** The point from which the store can be opened. */
  start = 0;
  #next = 1;
  #content: Content = new Array<number>(BLOCKS).fill(0);
  readonly #jitter: boolean;

  constructor(seed: number) {
    this.world = createCrashWorld({ seed });
    this.random = createRandom(seed);
    this.#jitter = seed % 2 === 1;
  }

  get content(): Content {
    return this.#content;
  }

  async begin(): Promise<void> {
    const jitter = this.#jitter ? { jitter: { random: createRandom(7), maxTurns: 3 } } : {};
    const device = this.world.device('save', { blockSize: BLOCK, size: SAVE_BYTES, ...jitter });
    this.world.device('clone', { blockSize: BLOCK, size: BLOCKS * BLOCK, ...jitter });
    await formatSaveVolume(device, { blockSize: BLOCK, journalBytes: 24 << 10 });
    const { save, clone } = await openStore(this.world);
    this.save = save;
    this.volume = await createProductionVolume(save, clone);
    this.start = this.world.point;
    this.#note(this.start, this.#content, true);
    this.#answer();
  }

  async step(): Promise<void> {
    const kind = this.random.between(0, 99);
    if (kind < 34) return this.write();
    if (kind < 38) return this.#zero('zero');
    if (kind < 42) return this.#zero('discard');
    if (kind < 52) return this.#flush();
    if (kind < 56) return this.save.checkpoint();
    if (kind < 66) return this.#createSnapshot();
    if (kind < 72) return this.#deleteSnapshot();
    if (kind < 82) return this.#startRestore();
    if (kind < 92) return this.#copyBack(this.random.between(1, 4));
    if (kind < 96) return this.#copyBack(Number.POSITIVE_INFINITY);
    return this.#reopen();
  }

  async write(): Promise<void> {
    const first = this.random.between(0, BLOCKS - 1);
    const count = this.random.between(1, Math.min(6, BLOCKS - first));
    const value = this.#next++;
    const values = new Array<number>(count).fill(value);
    this.log.push(`write ${value} to ${first}+${count}`);
    this.#change(first, values);
    await this.volume.device.write(bytesOf(values), first * BLOCK);
    this.#answer();
  }

  /** The first difference between what is read and what should be, in words. */
  async complain(): Promise<string | undefined> {
    const seen = await readAll(this.volume.device);
    if (String(seen) !== String(this.#content)) {
      return `production holds\n${seen}, which should be\n${this.#content}`;
    }
    for (const life of this.lives) {
      if (life.going !== Number.POSITIVE_INFINITY) continue;
      const content = await readAll(this.volume.openSnapshot(life.id));
      if (String(content) !== String(life.content)) {
        return `snapshot ${life.id} holds\n${content}, which should be\n${life.content}`;
      }
    }
    return undefined;
  }

  async finish(): Promise<void> {
    await this.volume.copyBack({ stepBytes: BLOCK * 3 });
  }

  async #zero(how: 'zero' | 'discard'): Promise<void> {
    const first = this.random.between(0, BLOCKS - 1);
    const count = this.random.between(1, Math.min(6, BLOCKS - first));
    this.log.push(`${how} ${first}+${count}`);
    this.#change(first, new Array<number>(count).fill(0));
    await this.volume.device[how](first * BLOCK, count * BLOCK);
    this.#answer();
  }

  async #flush(): Promise<void> {
    this.log.push('flush');
    const begin = this.world.point;
    const content = this.#content;
    await this.volume.device.flush();
    this.#note(begin, content, true);
    this.#answer();
  }

  async #createSnapshot(): Promise<void> {
    if (this.#alive().length > 7) return;
    const life = this.#expectSnapshot();
    life.id = (await this.volume.createSnapshot()).id;
    life.there = this.world.point;
    this.#note(life.begin, this.#content, true);
    this.#answer();
    this.log.push(`snapshot ${life.id}`);
  }

  async #deleteSnapshot(): Promise<void> {
    const alive = this.#alive();
    if (alive.length === 0) return;
    const life = alive[this.random.between(0, alive.length - 1)] as Life;
    this.log.push(`delete ${life.id}`);
    const going = this.world.point;
    try {
      life.going = going;
      await this.volume.deleteSnapshot(life.id);
    } catch (error) {
      if (!isStorageError(error, 'ERR_IN_USE')) throw error;
      life.going = Number.POSITIVE_INFINITY;
    }
  }

  async #startRestore(): Promise<void> {
    const alive = this.#alive();
    if (alive.length === 0 || this.volume.restores.length > 3) return;
    const from = alive[this.random.between(0, alive.length - 1)] as Life;
    const undo = this.#expectSnapshot();
    const moment = this.#note(undo.begin, from.content, true, true);
    const started = await this.volume.startRestore(from.id, { undo: { undo: true } });
    undo.id = started.undo.id;
    undo.there = this.world.point;
    moment.end = this.world.point;
    this.#content = from.content;
    this.log.push(`restore ${started.restore} from ${from.id}, undo ${undo.id}`);
  }

  async #copyBack(steps: number): Promise<void> {
    this.log.push(`copy back ${steps}`);
    const stop = new AbortController();
    let done = 0;
    try {
      await this.volume.copyBack({
        stepBytes: BLOCK * this.random.between(1, 5),
        signal: stop.signal,
        pace: async () => {
          done += 1;
          if (done > steps) {
            stop.abort(new Error('enough')); // nobody waits for what would come here
            return;
          }
          for (let more = this.random.between(0, 2); more > 0; more -= 1) await this.write();
          if (this.random.chance(0.2)) await this.#flush();
          if (this.random.chance(0.1)) await this.#createSnapshot();
          if (this.random.chance(0.05)) await this.#startRestore();
        },
      });
    } catch (error) {
      if (!(error instanceof Error && error.message === 'enough')) throw error;
    }
  }

  async #reopen(): Promise<void> {
    this.log.push('reopen');
    const { id } = this.volume;
    const begin = this.world.point;
    await this.volume.close();
    await this.save.close();
    const { save, clone } = await openStore(this.world);
    this.save = save;
    this.volume = await openProductionVolume(save, id, clone);
    this.#note(begin, this.#content, true);
    this.#answer();
  }

  #alive(): Life[] {
    return this.lives.filter(({ going }) => going === Number.POSITIVE_INFINITY);
  }

  #expectSnapshot(): Life {
    const life: Life = {
      content: this.#content,
      begin: this.world.point,
      there: Number.POSITIVE_INFINITY,
      going: Number.POSITIVE_INFINITY,
      id: 0,
    };
    this.lives.push(life);
    return life;
  }

  #change(first: number, values: Content): void {
    const content = [...this.#content];
    for (const [index, value] of values.entries()) content[first + index] = value;
    this.#content = content;
    this.#note(this.world.point, content, false);
  }

  #note(begin: number, content: Content, durable: boolean, restore = false): Moment {
    const moment = { begin, end: Number.POSITIVE_INFINITY, content, durable, restore };
    this.moments.push(moment);
    return moment;
  }

  #answer(): void {
    (this.moments.at(-1) as Moment).end = this.world.point;
  }
}
