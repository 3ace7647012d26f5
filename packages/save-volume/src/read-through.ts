/**
 * readThrough: reading a device that has some blocks of its own and takes the rest from what lies
 * beneath: a snapshot over its clone volume, a branch over its base. Blocks that are not its own are
 * read from beneath in runs, neighbours together; whatever can be read at once is.
 */
import { type Completion, together } from '@palimpsest/block-device';

/** The two layers of such a device. */
export interface Layers {
  /** Bytes. */
  readonly blockSize: number;
  /** Fills `target` when the block is the device's own; tells whether it is. */
  readOwn(block: number, target: Uint8Array): boolean | Promise<boolean>;
  /** Fills `target` when `readOwn` had to wait for its answer, `found`, whichever that will be. */
  readLater(found: Promise<boolean>, block: number, target: Uint8Array): Promise<void>;
  /** Starts to fill `target` from block `first` on from beneath; adds what is not done to `waits`. */
  readBeneath(first: number, target: Uint8Array, waits: Promise<void>[]): void;
}

/** Fills `target`, whole blocks, with the bytes at `position`. */
export function readThrough(layers: Layers, target: Uint8Array, position: number): Completion {
  const first = position / layers.blockSize;
  if (target.length !== layers.blockSize) {
    return together((waits) => readBlocks(layers, target, first, waits));
  }
  // A block of its own that is read at once, as most random reads are, needs no list of what to wait for.
  const found = layers.readOwn(first, target);
  if (found === true) return undefined;
  if (found !== false) return layers.readLater(found, first, target);
  return together((waits) => layers.readBeneath(first, target, waits));
}

function readBlocks(
  layers: Layers,
  target: Uint8Array,
  first: number,
  waits: Promise<void>[],
): void {
  const { blockSize } = layers;
  const count = target.length / blockSize;
  const beneath = (from: number, to: number): void => {
    if (from === to) return;
    layers.readBeneath(first + from, target.subarray(from * blockSize, to * blockSize), waits);
  };
  // Blocks from `run` up to the one looked at are not the device's own.
  let run = 0;
  for (let index = 0; index < count; index += 1) {
    const part = target.subarray(index * blockSize, (index + 1) * blockSize);
    const found = layers.readOwn(first + index, part);
    if (found === false) continue;
    if (found !== true) waits.push(layers.readLater(found, first + index, part));
    beneath(run, index);
    run = index + 1;
  }
  beneath(run, count);
}
