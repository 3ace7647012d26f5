/**
 * watchSaveFirst: promise I3 as a monitor, which names the culprit write without any crash: the
 * old content of a protected block is durable on the save disk before the clone disk's changes.
 * And I2: it looks for the old *content*, so it knows nothing of any format.
 */
import type { CrashWorld } from './crash-world.js';

/** The handle on a running monitor. */
export interface SaveFirstMonitor {
  /** From now on (a snapshot was made) every block of the clone disk must be saved first. */
  protect(): void;
  /** Nothing needs saving any more (the last snapshot was deleted). */
  release(): void;
  /** First overwrites seen, so that a test can tell that the monitor was not idle. */
  readonly seen: number;
}

/**
 * Watches the changes to the disk `clone` of `world`; saved blocks are looked for, at multiples of
 * `blockSize`, on the disk `save`. A violation fails the write and is listed in the world.
 * Blocks of zeros may be recorded without their bytes, so they are not looked for.
 */
export function watchSaveFirst(
  world: CrashWorld,
  options: { readonly clone: string; readonly save: string; readonly blockSize: number },
): SaveFirstMonitor {
  const { clone, save, blockSize } = options;
  const open = new Set<number>(); // protected blocks that have not been overwritten yet
  let seen = 0;
  world.observe((event) => {
    if (open.size === 0 || event.device !== clone) return;
    if (event.kind !== 'write' && event.kind !== 'zero' && event.kind !== 'discard') return;
    const first = Math.floor(event.position / blockSize);
    const last = Math.floor((event.position + event.length - 1) / blockSize);
    for (let block = first; block <= last; block++) {
      if (!open.delete(block)) continue;
      const old = new Uint8Array(blockSize);
      world.device(clone).readInto(old, block * blockSize);
      seen++;
      if (old.some((byte) => byte !== 0) && !holds(world, save, old)) {
        throw new Error(`I3: block ${block} of ${clone} changes before it is durable on ${save}`);
      }
    }
  });
  return {
    protect() {
      for (let block = 0; block * blockSize < world.device(clone).size; block++) open.add(block);
    },
    release: () => open.clear(),
    get seen(): number {
      return seen;
    },
  };
}

function holds(world: CrashWorld, disk: string, block: Uint8Array): boolean {
  const durable = world.durable(disk);
  const found = new Uint8Array(block.length);
  for (let position = 0; position + block.length <= durable.size; position += block.length) {
    durable.readInto(found, position);
    if (Buffer.compare(found, block) === 0) return true;
  }
  return false;
}
