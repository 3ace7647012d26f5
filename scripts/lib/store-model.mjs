/**
 * The model of a store under kills: its production volume, branches and snapshots, what each may hold
 * and which of them must be there. A harness asks for changes through lib/store-commands.mjs and
 * writes through lib/verified-load.mjs; after each restart `verify` compares what the daemon serves
 * with the model. It shares no code with the product (docs/adr/0004).
 *
 *   M5  Production and branches hold what lib/sector-model.mjs allows.
 *   M6  A snapshot's content is what it may be when it is read first, and the same for ever after.
 *   M7  A command that was answered happened; one that was not did or did not, as a whole. The names
 *       there are tell which, and no name comes or goes otherwise.
 */
import { createHash } from 'node:crypto';
import { control, nbdSocket } from './daemon.mjs';
import { connectNbd } from './nbd-client.mjs';
import { DeviceModel, History, parse, snapshotFaults } from './sector-model.mjs';

export const PRODUCTION = 'prod';
/** Runs that are asked for before the first is there. */
const READ_AHEAD = 4;

/** Where the sectors of a model lie: runs of them, with nothing that is looked at in between. */
export class Layout {
  #positions;

  /**
   * @param {number} sectorBytes
   * @param {readonly { position: number, count: number }[]} runs In bytes, in sectors.
   */
  constructor(sectorBytes, runs) {
    this.sectorBytes = sectorBytes;
    this.runs = runs;
    this.#positions = runs.flatMap(({ position, count }) =>
      Array.from({ length: count }, (_, i) => position + i * sectorBytes),
    );
  }

  /** How many sectors there are. */
  get sectors() {
    return this.#positions.length;
  }

  /** Where a sector is, in bytes. */
  positionOf(sector) {
    return this.#positions[sector];
  }
}

/**
 * @typedef {object} Snapshot
 * @property {object} [before] What it may hold, until it was read.
 * @property {import('./sector-model.mjs').Sector[]} [content] What it holds, since.
 * @property {string} [sum] The digest of that.
 * @property {string} [base] The snapshot that its branch stood on.
 * @property {string} told How it came about.
 */

export class StoreModel {
  history = new History();
  /** Writable devices by export name. @type {Map<string, DeviceModel>} */
  devices = new Map();
  /** By reference. @type {Map<string, Snapshot>} */
  snapshots = new Map();
  /** Commands that were not answered. @type {import('./store-commands.mjs').Command[]} */
  unsettled = [];
  /** Snapshots that running restores need. @type {Set<string>} */
  restoring = new Set();
  /** The restores that were under way when it was last verified. */
  restores = [];
  faults = [];
  done = {
    writes: 0,
    flushes: 0,
    reads: 0,
    snapshots: 0,
    branches: 0,
    deletes: 0,
    restores: 0,
    cancels: 0,
    refreshes: 0,
  };
  #names = 0;

  /** @param {{ store: string, layout: Layout, rng: ReturnType<typeof import('./random.mjs').random> }} parts */
  constructor({ store, layout, rng }) {
    this.store = store;
    this.layout = layout;
    this.rng = rng;
  }

  /** A name's number that was not used yet. */
  newNumber() {
    this.#names += 1;
    return this.#names;
  }

  /** A device that holds what the snapshot has; nothing without one. */
  newDevice(name, content) {
    const writes = content?.map(({ write }) => write);
    return new DeviceModel(name, this.layout.sectors, writes);
  }

  connect(name) {
    return connectNbd(nbdSocket(this.store), name);
  }

  /** What a device may hold at any instant from now on until the daemon dies. */
  instantOf(name) {
    const { visible, recent } = this.devices.get(name);
    return { visible: visible.map((list) => [...list]), lastId: this.history.lastId, recent };
  }

  /** Snapshots whose content is known. */
  get known() {
    return [...this.snapshots.keys()].filter((name) => this.snapshots.get(name).content);
  }

  /** Names that something stands on; what the branch `except` needs of itself does not count. */
  needed(except) {
    const isOther = (name) => name !== except && !name.startsWith(`${except}@`);
    const standing = [...this.devices, ...this.snapshots]
      .filter(([name, { base }]) => base !== undefined && isOther(name))
      .map(([, { base }]) => base);
    return new Set([...standing, ...this.restoring]);
  }

  /** Hands everything that is looked at of an export to `look`, in order: some bytes, their first sector. */
  async #read(name, look) {
    const { runs, sectorBytes } = this.layout;
    const client = await this.connect(name);
    try {
      const ask = (at) => {
        const run = runs[at];
        return run && client.read(run.position, run.count * sectorBytes);
      };
      const asked = runs.slice(0, READ_AHEAD).map((_, at) => ask(at));
      for (let at = 0, first = 0; at < runs.length; first += runs[at].count, at += 1) {
        const bytes = await asked.shift();
        asked.push(ask(at + READ_AHEAD));
        look(bytes, first);
      }
    } finally {
      await client.close();
    }
  }

  parse(bytes, first) {
    return parse(bytes, first, this.history, this.layout.sectorBytes);
  }

  /**
   * After a restart: the names, production and `branches`, every snapshot that was never read and at most
   * `again` of the others. `sectors`: how many of production's first sectors are the model's.
   */
  async verify({ again = Infinity, branches = true, sectors = this.layout.sectors } = {}) {
    await this.#settle();
    const all = [...this.snapshots.keys()];
    const read = all.filter((name) => this.snapshots.get(name).sum !== undefined);
    while (read.length > again) read.splice(this.rng.below(read.length), 1);
    const unread = all.filter((name) => this.snapshots.get(name).sum === undefined);
    for (const name of [...unread, ...read]) await this.#verifySnapshot(name);
    for (const [name, device] of this.devices) {
      if (name !== PRODUCTION && !branches) continue;
      const content = [];
      await this.#read(name, (bytes, first) => content.push(...this.parse(bytes, first)));
      const ours = name === PRODUCTION ? sectors : content.length;
      this.faults.push(...device.recovered(content.slice(0, ours)));
    }
  }

  /** Finds out which unanswered commands happened (M7). */
  async #settle() {
    const listed = await control.list(this.store);
    const there = new Set([...listed.snapshots, ...listed.branches]);
    const isModelled = (name) => this.snapshots.has(name) || this.devices.has(name);
    const unexpected = [...there].filter((name) => !isModelled(name));
    for (const command of this.unsettled) {
      if (command.happened({ there, unexpected })) command.settle();
    }
    this.unsettled = [];
    const names = [...this.snapshots.keys(), ...this.devices.keys()];
    const expected = new Set(names.filter((name) => name !== PRODUCTION));
    for (const name of expected) if (!there.has(name)) this.faults.push(`${name} is gone`);
    for (const name of there) {
      if (!expected.has(name)) this.faults.push(`${name} came from nowhere`);
    }
    this.restores = await control.restores(this.store);
    if (this.restores.length === 0) this.restoring.clear();
  }

  /** M6. */
  async #verifySnapshot(name) {
    const snapshot = this.snapshots.get(name);
    const hash = createHash('sha256');
    const content = [];
    await this.#read(name, (bytes, first) => {
      hash.update(bytes);
      if (snapshot.sum === undefined) content.push(...this.parse(bytes, first));
    });
    const sum = hash.digest('hex');
    if (snapshot.sum === undefined) {
      snapshot.content = content;
      const where = `${name} (${snapshot.told})`;
      this.faults.push(...snapshotFaults(snapshot.content, this.#possible(snapshot), where));
      snapshot.sum = sum;
      snapshot.before = undefined;
    } else if (snapshot.sum !== sum) {
      this.faults.push(`${name} changed: its sha256 was ${snapshot.sum} and is ${sum}`);
    }
  }

  /** What a snapshot may hold, seen from before the recovery of production is taken note of. */
  #possible({ before }) {
    if (before.afterCrash !== true) return before;
    const { surviving } = this.devices.get(PRODUCTION);
    const visible = before.visible.map((list, s) => [...list, ...surviving[s]]);
    return { ...before, visible };
  }
}
