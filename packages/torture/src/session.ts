/**
 * Session: an open store on the disks of a crash world, and the operations of a history carried out
 * on it. Each operation tells the model when it is asked for and when it is answered, and what it
 * reads is compared with the model at once.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import type { CrashWorld, JitterOptions } from '@palimpsest/block-device/testing';
import {
  listProductionVolumes,
  openProductionVolume,
  type ProductionVolume,
} from '@palimpsest/ro-snapshot';
import {
  type Branch,
  createBranch,
  deleteBranch,
  listBranches,
  openBranch,
  resumeBranchDeletions,
} from '@palimpsest/rw-snapshot';
import { openSaveVolume, type SaveVolume } from '@palimpsest/save-volume';
import type { Geometry } from './geometry.js';
import type { Model, ModelEvent } from './model.js';
import { fillPayload, GARBAGE, identify, SECTOR } from './payload.js';

/** Told of each event of the model, with the point of the trace at which it happened. */
export type Log = (event: ModelEvent, point: number) => void;

/** What a store must not do. */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

/** What can be read of a store: by the model's names, the write in each sector. */
export interface Observation {
  /** Volumes and branches. */
  readonly spaces: Map<string, Int32Array>;
  readonly snapshots: Map<string, Int32Array>;
}

export const SAVE_DISK = 'save';
export const cloneDisk = (volume: string): string => `clone-${volume}`;

/** The opening of a store: volumes by name, branches by name. */
export class Session {
  readonly world: CrashWorld;
  readonly geometry: Geometry;
  readonly save: SaveVolume;
  readonly #volumes = new Map<string, ProductionVolume>();
  readonly #branches = new Map<string, Branch>();

  private constructor(world: CrashWorld, geometry: Geometry, save: SaveVolume) {
    this.world = world;
    this.geometry = geometry;
    this.save = save;
  }

  /** Opens the store and everything in it, by the way that users do. */
  static async open(
    world: CrashWorld,
    geometry: Geometry,
    jitter?: JitterOptions,
  ): Promise<Session> {
    const open = (name: string): BlockDevice => {
      const options = jitter === undefined ? {} : { jitter };
      return world.device(name, { size: 0, ...options });
    };
    const { cacheBytes, dirtyBytes, full, saveBytes, blockSize } = geometry;
    const growth = full ? { maximumBytes: saveBytes } : { growBytes: 48 * blockSize };
    const limits = { cacheBytes, dirtyBytes, ...growth };
    const save = await openSaveVolume(open(SAVE_DISK), limits);
    const session = new Session(world, geometry, save);
    for (const { id, attributes } of listProductionVolumes(save)) {
      const name = nameOf(attributes);
      session.#volumes.set(name, await openProductionVolume(save, id, open(cloneDisk(name))));
    }
    await resumeBranchDeletions(save);
    for (const record of listBranches(save)) await session.#openBranch(record.id);
    return session;
  }

  /** Reads everything. */
  async observe(): Promise<Observation> {
    const spaces = new Map<string, Int32Array>();
    const snapshots = new Map<string, Int32Array>();
    for (const [name, volume] of this.#volumes) {
      spaces.set(name, await readAll(volume.device));
      for (const { id, attributes } of volume.snapshots) {
        const snapshot = nameOf(attributes);
        if (snapshots.has(snapshot)) throw new Violation(`${snapshot} is listed twice`);
        snapshots.set(snapshot, await readAll(volume.openSnapshot(id)));
      }
    }
    for (const [name, branch] of this.#branches) spaces.set(name, await readAll(branch.device));
    return { spaces, snapshots };
  }

  /**
   * Reads everything and compares it with the model.
   * @throws {Violation} with the first thing that is wrong.
   */
  async check(model: Model, instant: 'now' | 'after a crash'): Promise<Observation> {
    const seen = await this.observe();
    for (const [name, ids] of seen.spaces) {
      if (model.branch(name) === undefined && !model.volumes.includes(name)) {
        throw new Violation(`${name} is there and was never made`);
      }
      const complaint = model.complain(name, ids, instant);
      if (complaint !== undefined) throw new Violation(complaint);
    }
    for (const name of model.volumes) {
      if (!seen.spaces.has(name)) throw new Violation(`volume ${name} is not there`);
    }
    assertPresence(model.branches(), new Set(seen.spaces.keys()), instant);
    assertPresence(model.snapshots(), new Set(seen.snapshots.keys()), instant);
    for (const [name, ids] of seen.snapshots) {
      const complaint = model.complainOfSnapshot(name, ids);
      if (complaint !== undefined) throw new Violation(complaint);
    }
    return seen;
  }

  /** @throws {Violation} with what the store's own audit finds. */
  async audit(): Promise<void> {
    const { problems } = await this.save.verify({ data: true });
    if (problems.length > 0) throw new Violation(`audit: ${problems.slice(0, 3).join('; ')}`);
  }

  /** Ends it the proper way. */
  async close(): Promise<void> {
    for (const branch of this.#branches.values()) await branch.close();
    for (const volume of this.#volumes.values()) await volume.close();
    await this.save.close();
  }

  /** The device of a volume or branch. */
  device(space: string): BlockDevice {
    const device = this.#volumes.get(space)?.device ?? this.#branches.get(space)?.device;
    if (device === undefined) throw new Error(`${space} is not open`);
    return device;
  }

  async createSnapshot(name: string, volume: string): Promise<Int32Array> {
    const found = this.#volume(volume);
    const { id } = await found.createSnapshot({ name });
    return readAll(found.openSnapshot(id));
  }

  async deleteSnapshot(name: string, volume: string): Promise<void> {
    await this.#volume(volume).deleteSnapshot(this.#snapshotId(name, volume));
  }

  /** The write in each sector of a snapshot. */
  readSnapshot(name: string, volume: string): Promise<Int32Array> {
    return readAll(this.#volume(volume).openSnapshot(this.#snapshotId(name, volume)));
  }

  async createBranch(name: string, snapshot: string, volume: string): Promise<void> {
    const base = {
      volume: this.#volume(volume).id,
      snapshot: this.#snapshotId(snapshot, volume),
    };
    const { id } = await createBranch(this.save, base, { name });
    await this.#openBranch(id);
  }

  async deleteBranch(name: string): Promise<void> {
    const branch = this.#branches.get(name);
    if (branch === undefined) throw new Error(`${name} is not open`);
    await branch.close();
    this.#branches.delete(name);
    await deleteBranch(this.save, branch.id);
  }

  #snapshotId(name: string, volume: string): number {
    const { snapshots } = this.#volume(volume);
    const record = snapshots.find(({ attributes }) => nameOf(attributes) === name);
    if (record === undefined) throw new Error(`${name} is not listed`);
    return record.id;
  }

  #volume(name: string): ProductionVolume {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw new Error(`volume ${name} is not open`);
    return volume;
  }

  async #openBranch(id: number): Promise<void> {
    const record = listBranches(this.save).find((each) => each.id === id);
    if (record === undefined) throw new Error(`branch ${id} is not listed`);
    const base = [...this.#volumes.values()].find((volume) => volume.id === record.volume);
    if (base === undefined) throw new Error(`branch ${id} has no volume`);
    const branch = await openBranch(this.save, id, ({ snapshot }) => base.openSnapshot(snapshot));
    this.#branches.set(nameOf(record.attributes), branch);
  }
}

/** The bytes that write `id` puts into `count` sectors from sector `first`; 0 makes zeros. */
export function payload(id: number, first: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * SECTOR);
  if (id !== 0) fillPayload(bytes, id, first);
  return bytes;
}

/** Tells errors that a full store may give from all others. */
export function isFull(error: unknown): boolean {
  return isStorageError(error, 'ERR_NO_SPACE');
}

async function readAll(device: BlockDevice): Promise<Int32Array> {
  const bytes = new Uint8Array(device.size).fill(0xa5);
  await device.readInto(bytes, 0);
  const ids = identify(bytes, 0);
  const garbage = ids.indexOf(GARBAGE);
  if (garbage < 0) return ids;
  const head = Buffer.from(bytes.buffer, garbage * SECTOR, 16).toString('hex');
  throw new Violation(`sector ${garbage} holds what nobody wrote there: ${head}...`);
}

function assertPresence(
  things: readonly { name: string; presence: string }[],
  listed: ReadonlySet<string>,
  instant: 'now' | 'after a crash',
): void {
  for (const { name, presence } of things) {
    if (presence === 'there' && !listed.has(name)) throw new Violation(`${name} is gone`);
    if (presence === 'gone' && listed.has(name)) throw new Violation(`${name} is back`);
    if (instant === 'now' && presence === 'coming' && listed.has(name)) {
      throw new Violation(`${name} is there before anyone was told`);
    }
  }
}

function nameOf(attributes: { readonly [name: string]: unknown }): string {
  return String(attributes.name);
}
