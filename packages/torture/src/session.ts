/**
 * Session: an open store on the disks of a crash world, by the names that the model uses, and the
 * reading of everything in it.
 */
import { type BlockDevice, isStorageError } from '@palimpsest/block-device';
import {
  type CrashWorld,
  type FailingDevice,
  failing,
  type JitterOptions,
} from '@palimpsest/block-device/testing';
import {
  listProductionVolumes,
  openProductionVolume,
  type ProductionVolume,
  type SnapshotReference,
} from '@palimpsest/ro-snapshot';
import {
  type Branch,
  type BranchRecord,
  branchRestoreSource,
  listBranches,
  openBranch,
  openBranchSnapshot,
  resumeBranchDeletions,
} from '@palimpsest/rw-snapshot';
import {
  type Attributes,
  openSaveVolume,
  type SaveVolume,
  type SaveVolumeOptions,
} from '@palimpsest/save-volume';
import { compare, Violation } from './compare.js';
import type { Geometry } from './geometry.js';
import type { Model, Observation } from './model/model.js';
import type { Instant } from './model/register.js';
import { fillPayload, GARBAGE, identify, SECTOR } from './payload.js';

export const SAVE_DISK = 'save';
export const cloneDisk = (volume: string): string => `clone-${volume}`;

/** The opening of a store: volumes by name, branches by name. */
export class Session {
  readonly world: CrashWorld;
  readonly geometry: Geometry;
  readonly save: SaveVolume;
  readonly #volumes = new Map<string, ProductionVolume>();
  readonly #branches = new Map<string, Branch>();
  readonly #disks: ReadonlyMap<string, FailingDevice>;

  private constructor(
    world: CrashWorld,
    geometry: Geometry,
    save: SaveVolume,
    disks: ReadonlyMap<string, FailingDevice>,
  ) {
    this.#disks = disks;
    this.world = world;
    this.geometry = geometry;
    this.save = save;
  }

  /** Opens the store and everything in it, by the way that users do. */
  static async open(
    world: CrashWorld,
    geometry: Geometry,
    jitter?: JitterOptions,
    hooks: Pick<SaveVolumeOptions, 'onPressure'> = {},
  ): Promise<Session> {
    const disks = new Map<string, FailingDevice>();
    const open = (name: string): BlockDevice => {
      const isSlow = geometry.slowImage === true && name === cloneDisk('v0');
      const stall = { chance: 0.5, maxTurns: 400 };
      const options =
        jitter === undefined ? {} : { jitter: isSlow ? { ...jitter, stall } : jitter };
      const disk = failing(world.device(name, { size: 0, ...options }));
      disks.set(name, disk);
      return disk.device;
    };
    const { cacheBytes, dirtyBytes, full, saveBytes, blockSize } = geometry;
    const growth = full ? { maximumBytes: saveBytes } : { growBytes: 48 * blockSize };
    const turns = jitter?.random.fork('turns');
    // Where calls take their time, so do the turns of the event loop that commits give to others.
    const turn = async (): Promise<void> => {
      for (let left = turns?.below(12) ?? 0; left > 0; left -= 1) await undefined;
    };
    const commits = { commitBytes: dirtyBytes / 4, turn };
    const limits = { cacheBytes, dirtyBytes, ...commits, ...growth, ...hooks };
    const save = await openSaveVolume(open(SAVE_DISK), limits);
    if (geometry.frontFirst) handOutFromTheFront(save);
    const session = new Session(world, geometry, save, disks);
    for (const { id, attributes } of listProductionVolumes(save)) {
      const name = nameOf(attributes);
      const volume = await openProductionVolume(save, id, open(cloneDisk(name)), {
        openSource: (ref, opened) =>
          branchRestoreSource(save, ref.snapshot, (root) => opened.openSnapshot(root.snapshot)),
      });
      session.#volumes.set(name, volume);
    }
    await resumeBranchDeletions(save);
    for (const record of listBranches(save)) await session.openBranch(nameOf(record.attributes));
    return session;
  }

  /** Reads everything. */
  async observe(): Promise<Observation> {
    const spaces = new Map<string, Int32Array>();
    const snapshots = new Map<string, Int32Array>();
    const bases = new Map<string, string | undefined>();
    const note = async (attributes: Attributes): Promise<void> => {
      const name = nameOf(attributes);
      if (snapshots.has(name)) throw new Violation(`${name} is listed twice`);
      snapshots.set(name, await this.readSnapshot(name));
    };
    for (const [name, volume] of this.#volumes) {
      spaces.set(name, await readAll(volume.device));
      for (const { attributes } of volume.snapshots) await note(attributes);
    }
    for (const record of listBranches(this.save)) {
      const name = nameOf(record.attributes);
      const branch = this.#branches.get(name);
      if (branch === undefined) throw new Violation(`${name} is listed and not open`);
      spaces.set(name, await readAll(branch.device));
      bases.set(name, record.base === null ? undefined : this.#nameOfSnapshot(record.base));
      for (const { attributes } of record.snapshots) await note(attributes);
    }
    return { spaces, snapshots, bases };
  }

  /**
   * Reads everything and compares it with the model.
   * @throws {Violation} with the first thing that is wrong.
   */
  async check(model: Model, instant: Instant): Promise<Observation> {
    const seen = await this.observe();
    compare(model, seen, instant);
    return seen;
  }

  /** @throws {Violation} when a range that is said to be zeros is not. */
  async checkExtents(spaces: Iterable<string>): Promise<void> {
    for (const name of spaces) {
      const device = this.device(name);
      let position = 0;
      for (const { length, zero } of await device.extents(0, device.size)) {
        const bytes = new Uint8Array(length);
        if (zero) await device.readInto(bytes, position);
        const wrong = bytes.findIndex((byte) => byte !== 0);
        if (wrong >= 0) throw new Violation(`byte ${position + wrong} of ${name} is no zero`);
        position += length;
      }
    }
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

  /** The write in each sector of a volume or branch. */
  readSpace(space: string): Promise<Int32Array> {
    return readAll(this.device(space));
  }

  /** The write in each sector of a snapshot. */
  async readSnapshot(name: string): Promise<Int32Array> {
    const { id, owner } = this.findSnapshot(name);
    if ('openSnapshot' in owner) return readAll(owner.openSnapshot(id));
    const device = await openBranchSnapshot(this.save, id, this.beneath);
    try {
      return await readAll(device);
    } finally {
      await device.close();
    }
  }

  /** A snapshot by name, and the volume or branch it is of. */
  findSnapshot(name: string): { id: number; owner: ProductionVolume | BranchRecord } {
    const owners = [...this.#volumes.values(), ...listBranches(this.save)];
    for (const owner of owners) {
      const found = owner.snapshots.find(({ attributes }) => nameOf(attributes) === name);
      if (found !== undefined) return { id: found.id, owner };
    }
    throw new Error(`${name} is not listed`);
  }

  /** A snapshot as something can be based on it. */
  reference(name: string): SnapshotReference {
    const { id } = this.findSnapshot(name);
    const bytes = this.save.object(id) as Uint8Array;
    const stored = JSON.parse(Buffer.from(bytes).toString()) as { volume: number };
    return { volume: stored.volume, snapshot: id };
  }

  /** Names of the disks of volumes. */
  get clones(): string[] {
    return [...this.#volumes.keys()].map(cloneDisk);
  }

  /** Makes the next read of a disk fail. */
  failRead(disk: string): FailingDevice {
    const found = this.#disks.get(disk) as FailingDevice;
    found.fail({ call: 'read', nth: 1 });
    return found;
  }

  /** Snapshots that restores of the volume need, by name: source and undo of each, oldest first. */
  needed(volume: string): readonly string[] {
    return this.volume(volume).restores.flatMap(({ source, undo }) => [
      this.#nameOfSnapshot(source),
      this.#nameOfSnapshot({ volume: this.volume(volume).id, snapshot: undo }),
    ]);
  }

  /** Restores a volume from a snapshot of its own, or of a branch. */
  async startRestore(volume: string, source: string, undo: string): Promise<void> {
    const { id, owner } = this.findSnapshot(source);
    const from =
      'openSnapshot' in owner ? id : await branchRestoreSource(this.save, id, this.beneath);
    await this.volume(volume).startRestore(from, { undo: { name: undo } });
  }

  volume(name: string): ProductionVolume {
    const volume = this.#volumes.get(name);
    if (volume === undefined) throw new Error(`volume ${name} is not open`);
    return volume;
  }

  branch(name: string): Branch {
    const branch = this.#branches.get(name);
    if (branch === undefined) throw new Error(`branch ${name} is not open`);
    return branch;
  }

  /** Opens production snapshots, for branches. */
  readonly beneath = ({ volume, snapshot }: SnapshotReference): BlockDevice => {
    const found = [...this.#volumes.values()].find(({ id }) => id === volume);
    if (found === undefined) throw new Error(`a branch has no volume ${volume}`);
    return found.openSnapshot(snapshot);
  };

  /** Opens a branch that is listed. */
  async openBranch(name: string): Promise<void> {
    const record = listBranches(this.save).find(({ attributes }) => nameOf(attributes) === name);
    if (record === undefined) throw new Error(`branch ${name} is not listed`);
    this.#branches.set(name, await openBranch(this.save, record.id, this.beneath));
  }

  /** Closes a branch; tells its id. */
  async closeBranch(name: string): Promise<number> {
    const branch = this.branch(name);
    await branch.close();
    this.#branches.delete(name);
    return branch.id;
  }

  #nameOfSnapshot({ snapshot }: SnapshotReference): string {
    const owners = [...this.#volumes.values(), ...listBranches(this.save)];
    for (const { snapshots } of owners) {
      const found = snapshots.find(({ id }) => id === snapshot);
      if (found !== undefined) return nameOf(found.attributes);
    }
    throw new Violation(`something stands on snapshot ${snapshot}, which is not listed`);
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

/** Has every free block handed out as soon as it can be: the first one always. */
function handOutFromTheFront({ allocator }: SaveVolume): void {
  const allocate = allocator.allocate.bind(allocator);
  allocator.allocate = (count) => {
    allocator.rewind();
    return allocate(count);
  };
}

function nameOf(attributes: Attributes): string {
  return String(attributes.name);
}
