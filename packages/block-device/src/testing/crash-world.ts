/**
 * CrashWorld: disks that forget. All its disks share one trace, so a power cut hits them at one
 * instant, in the middle of anything. A workload runs once; every crash of it is built from the
 * trace afterwards, thousands a second.
 *
 *   run:     const world = createCrashWorld({ seed: 1 });
 *            const disk = world.device('disk', { blockSize: 512, size: 65_536 });
 *            ... write, flush, write ...
 *   crash:   for (let point = 0; point <= world.point; point++)
 *              for (const policy of world.policies(point))
 *                check(world.crash(point, policy).device('disk'));
 *
 * The world after a crash is a world like the first, with a trace of its own that starts with the
 * recovery; so crashes nest. `kill` gives the world after the process died but the
 * power stayed; the same disk may also be asked for again from one world, as by a next process.
 *
 * The rules of what survives are T1..T4 in trace.ts. Calls complete at once unless a disk has
 * jitter; then changes and flushes are in flight for real.
 */
import type { BlockDevice, BlockDriver, Completion, Extent } from '../block-device.js';
import { assertGeometry, checked } from '../checked.js';
import { invariant, StorageError } from '../errors.js';
import { applyPolicy, type CrashPolicy, listPolicies, type PolicyOptions } from './crash-policy.js';
import { delay, type JitterOptions, late, POISON } from './jitter.js';
import { createRandom, type Random } from './random.js';
import { cut, SECTOR, type Sector, SectorStore } from './sectors.js';
import {
  applyChange,
  type ChangeEvent,
  type PendingChange,
  Replay,
  type TraceEvent,
  UNTOUCHED,
} from './trace.js';

/** The shape of a disk of a crash world. */
export interface CrashGeometry {
  /** @default 512 */
  readonly blockSize?: number;
  /** Bytes, whole blocks. */
  readonly size: number;
  /** Lets calls take their time. @default every call completes at once */
  readonly jitter?: JitterOptions;
}

/** Called with each event before it takes effect. What it throws is the call's failure. */
export type TraceObserver = (event: TraceEvent, world: CrashWorld) => void;

/** Disks, and what happened to them. */
export interface CrashWorld {
  /** Events so far: the last point at which the world can crash. */
  readonly point: number;
  readonly trace: readonly TraceEvent[];
  /** What observers complained of, in order. A test asserts that it is empty. */
  readonly violations: readonly string[];
  /** A hash of the content of all disks at point 0, for telling images apart: 53 bits. */
  readonly hash: number;
  /**
   * Opens a disk; one that does not exist yet is made, of zeros. The geometry of a known disk may
   * be left out; jitter is not remembered.
   */
  device(name: string, geometry?: CrashGeometry): BlockDevice;
  /** Adds an observer, such as a monitor of the order of writes. */
  observe(observer: TraceObserver): void;
  /** Makes the next flush of a disk fail, and lose what it should have made durable (T4). */
  failNextFlush(name: string): void;
  /** The changes whose fate a crash at `point` decides. */
  pending(point?: number): readonly PendingChange[];
  /** What the disk `name` surely holds at the current point, whatever happens. */
  durable(name: string): { readInto(target: Uint8Array, position: number): void; size: number };
  /** The policies to try at `point`. */
  policies(point: number, options?: PolicyOptions): CrashPolicy[];
  /**
   * The world after the process died at `point`, while the power stayed: every change is in the
   * system's cache, and still pending; a later crash of that world decides its fate.
   */
  kill(point?: number): CrashWorld;
  /** The world after a power cut at `point`. `random` decides what the policy leaves open. */
  crash(point: number, policy: CrashPolicy, random?: Random): CrashWorld;
}

/** Makes a world without disks. The same seed and calls give the same world. */
export function createCrashWorld(options: { readonly seed?: number | string } = {}): CrashWorld {
  return new World(new Map(), createRandom(options.seed ?? 0));
}

interface Disk {
  readonly name: string;
  readonly blockSize: number;
  /** What reads see: every change made so far. */
  current: SectorStore;
  failNextFlush: boolean;
}

class World implements CrashWorld {
  readonly trace: TraceEvent[] = [];
  readonly violations: string[] = [];
  readonly #random: Random;
  readonly #base = new Map<string, SectorStore>();
  readonly #disks = new Map<string, Disk>();
  readonly #observers: TraceObserver[] = [];
  #replay: Replay | undefined;

  constructor(
    disks: ReadonlyMap<string, { blockSize: number; store: SectorStore }>,
    random: Random,
  ) {
    this.#random = random;
    for (const [name, { blockSize, store }] of disks) this.#add(name, blockSize, store);
  }

  get point(): number {
    return this.trace.length;
  }

  get hash(): number {
    let a = 0;
    let b = 0;
    let place = 0;
    for (const store of this.#base.values()) {
      place++;
      a = Math.imul(a ^ store.a ^ place, 0x85ebca6b) ^ (store.size / SECTOR);
      b = Math.imul(b ^ store.b ^ place, 0xc2b2ae35) ^ (store.size / SECTOR);
    }
    return (a >>> 0) * 2 ** 21 + (b >>> 11);
  }

  device(name: string, geometry?: CrashGeometry): BlockDevice {
    let disk = this.#disks.get(name);
    if (disk === undefined) {
      if (geometry === undefined) {
        throw new StorageError('ERR_INVALID', `the disk ${name} is new and needs a geometry`);
      }
      const blockSize = geometry.blockSize ?? SECTOR;
      assertGeometry(blockSize, geometry.size);
      invariant(this.trace.length === 0, 'disks are made before anything happens to any');
      disk = this.#add(name, blockSize, new SectorStore(geometry.size));
    }
    return checked(new DiskDriver(disk, this.#port(disk), this.#random, geometry?.jitter));
  }

  observe(observer: TraceObserver): void {
    this.#observers.push(observer);
  }

  failNextFlush(name: string): void {
    this.#disk(name).failNextFlush = true;
  }

  pending(point: number = this.point): readonly PendingChange[] {
    return this.#at(point).pending;
  }

  durable(name: string): SectorStore {
    this.#disk(name);
    return this.#at(this.point).durable.get(name) as SectorStore;
  }

  policies(point: number, options: PolicyOptions = {}): CrashPolicy[] {
    return listPolicies(this.pending(point).length, options, this.#random.fork(`p${point}`));
  }

  crash(point: number, policy: CrashPolicy, random?: Random): CrashWorld {
    const { durable, pending } = this.#at(point);
    const chance = random ?? this.#random.fork(`c${point}/${JSON.stringify(policy)}`);
    const stores = new Map<string, SectorStore>();
    for (const [name, store] of durable) stores.set(name, store.fork());
    applyPolicy(stores, pending, policy, chance);
    const disks = new Map<string, { blockSize: number; store: SectorStore }>();
    for (const [name, store] of stores) {
      disks.set(name, { blockSize: this.#disk(name).blockSize, store });
    }
    return new World(disks, this.#random);
  }

  kill(point: number = this.point): CrashWorld {
    const { durable, pending } = this.#at(point);
    const disks = new Map<string, { blockSize: number; store: SectorStore }>();
    for (const [name, store] of durable) {
      disks.set(name, { blockSize: this.#disk(name).blockSize, store: store.fork() });
    }
    const world = new World(disks, this.#random);
    world.#inherit(pending.filter(({ lost }) => lost));
    const begin = world.trace.length;
    for (const device of durable.keys()) {
      world.trace.push({ index: world.trace.length, device, kind: 'flush-failed', begin }); // T4
    }
    world.#inherit(pending.filter(({ lost }) => !lost));
    return world;
  }

  /** Takes over changes of a process that died, as far as nothing durable hides them (T3). */
  #inherit(pending: readonly PendingChange[]): void {
    for (const { change, hidden } of pending) {
      const index = this.trace.length;
      const sectors = change.sectors.map((sector, at) => (hidden?.has(at) ? UNTOUCHED : sector));
      const event: ChangeEvent = { ...change, index, sectors, completeAt: index + 1 };
      this.trace.push(event);
      applyChange(this.#disk(change.device).current, {
        change: event,
        hidden: undefined,
        lost: false,
      });
    }
  }

  #add(name: string, blockSize: number, store: SectorStore): Disk {
    const disk = { name, blockSize, current: store.fork(), failNextFlush: false };
    this.#base.set(name, store);
    this.#disks.set(name, disk);
    return disk;
  }

  #disk(name: string): Disk {
    const disk = this.#disks.get(name);
    if (disk === undefined) throw new StorageError('ERR_NOT_FOUND', `there is no disk ${name}`);
    return disk;
  }

  /** Crash points are mostly asked for in order, so one replay moves along. */
  #at(point: number): Replay {
    if (!(point >= 0 && point <= this.point)) {
      throw new StorageError('ERR_INVALID', `point ${point} is not in 0..${this.point}`);
    }
    if (this.#replay === undefined || this.#replay.point > point) {
      const base = new Map<string, SectorStore>();
      for (const [name, store] of this.#base) base.set(name, store.fork());
      this.#replay = new Replay(base);
    }
    this.#replay.advance(this.trace, point);
    return this.#replay;
  }

  /** How a disk's driver writes the trace. */
  #port(disk: Disk): TracePort {
    return {
      point: () => this.trace.length,
      record: (event) => {
        for (const observe of this.#observers) {
          try {
            observe(event, this);
          } catch (error) {
            this.violations.push(`event ${event.index} on ${disk.name}: ${String(error)}`);
            throw error;
          }
        }
        this.trace.push(event);
      },
    };
  }
}

interface TracePort {
  point(): number;
  record(event: TraceEvent): void;
}

class DiskDriver implements BlockDriver {
  readonly blockSize: number;
  readonly readOnly = false;
  readonly #disk: Disk;
  readonly #port: TracePort;
  readonly #random: Random;
  readonly #jitter: JitterOptions | undefined;

  constructor(disk: Disk, port: TracePort, random: Random, jitter: JitterOptions | undefined) {
    this.blockSize = disk.blockSize;
    this.#disk = disk;
    this.#port = port;
    this.#random = random;
    this.#jitter = jitter;
  }

  get size(): number {
    return this.#disk.current.size;
  }

  readInto(target: Uint8Array, position: number): Completion {
    const read = (): undefined => {
      this.#disk.current.readInto(target, position);
    };
    if (this.#jitter === undefined) return read();
    target.fill(POISON);
    return late(this.#jitter, read);
  }

  write(source: Uint8Array, position: number): Completion {
    return this.#change('write', position, source.length, () => cut(source));
  }

  zero(position: number, length: number): Completion {
    return this.#change('zero', position, length, () => zeros(length));
  }

  discard(position: number, length: number): Completion {
    return this.#change('discard', position, length, () => {
      const sectors: (undefined | typeof UNTOUCHED)[] = [];
      for (let block = 0; block < length; block += this.blockSize) {
        const fate = this.#random.chance(0.5) ? undefined : UNTOUCHED; // D9: either, per block
        for (let done = 0; done < this.blockSize; done += SECTOR) sectors.push(fate);
      }
      return sectors;
    });
  }

  async resize(size: number): Promise<void> {
    await this.#change('resize', 0, size, () => []);
  }

  flush(): Completion {
    const begin = this.#port.point();
    const device = this.#disk.name;
    this.#port.record({ index: begin, device, kind: 'flush-begin', begin });
    if (this.#jitter === undefined) return this.#endFlush(begin);
    // A flush takes longer than a write, so that others come while it runs.
    const wait = delay({ ...this.#jitter, maxTurns: 6 * (this.#jitter.maxTurns ?? 5) });
    return wait === undefined ? this.#endFlush(begin) : wait.then(() => this.#endFlush(begin));
  }

  async extents(position: number, length: number): Promise<readonly Extent[]> {
    const found: { length: number; zero: boolean; hole: boolean }[] = [];
    const store = this.#disk.current;
    for (let at = position; at < position + length; at += this.blockSize) {
      let zero = true;
      for (let done = 0; done < this.blockSize; done += SECTOR) {
        zero &&= store.get((at + done) / SECTOR) === undefined;
      }
      const last = found.at(-1);
      if (last?.zero === zero) last.length += this.blockSize;
      else found.push({ length: this.blockSize, zero, hole: false });
    }
    return found;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #endFlush(begin: number): undefined {
    const failed = this.#disk.failNextFlush;
    this.#disk.failNextFlush = false;
    const kind = failed ? 'flush-failed' : 'flush-end';
    this.#port.record({ index: this.#port.point(), device: this.#disk.name, kind, begin });
    if (failed) throw new StorageError('ERR_IO', `injected: a flush of ${this.#disk.name} failed`);
  }

  #change(
    kind: ChangeEvent['kind'],
    position: number,
    length: number,
    content: () => readonly (Sector | undefined | typeof UNTOUCHED)[],
  ): Completion {
    if (this.#jitter === undefined) {
      this.#make(kind, position, length, content());
      return undefined;
    }
    const jitter = this.#jitter;
    const work = async (): Promise<void> => {
      await delay(jitter);
      const event = this.#make(kind, position, length, content());
      event.completeAt = Number.POSITIVE_INFINITY;
      await delay(jitter);
      event.completeAt = this.#port.point();
    };
    return work();
  }

  #make(
    kind: ChangeEvent['kind'],
    position: number,
    length: number,
    sectors: ChangeEvent['sectors'],
  ): ChangeEvent {
    const index = this.#port.point();
    const device = this.#disk.name;
    const event: ChangeEvent = {
      index,
      device,
      kind,
      position,
      length,
      sectors,
      completeAt: index + 1,
    };
    this.#port.record(event);
    const store = this.#disk.current;
    if (kind === 'resize') store.resize(length);
    for (let sector = 0; sector < sectors.length; sector++) {
      const content = sectors[sector];
      if (content !== UNTOUCHED) store.set(position / SECTOR + sector, content);
    }
    return event;
  }
}

function zeros(length: number): undefined[] {
  return new Array<undefined>(length / SECTOR).fill(undefined);
}
