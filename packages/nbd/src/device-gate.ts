/**
 * DeviceGate: byte-granular changes on a device of whole blocks, for all clients of that device.
 * What is not whole blocks is merged with what is there: read, change, write back.
 *   G1  While a block is being merged, no other change to it is under way: two clients that write
 *       two halves of one block at once lose neither. Changes of whole blocks do not exclude each
 *       other (the device settles those), they only exclude merges.
 *   G2  Who came first goes first among those who exclude each other, so nobody starves.
 *   G3  A flush covers every change that was done before it was asked for; those asked for while
 *       one is under way share the next.
 *   G4  Nothing here allocates, or makes a promise, for a whole-block change that is done at once;
 *       one that goes on costs one promise and one claim.
 */
import {
  type BlockDevice,
  type Completion,
  SharedFlush,
  type ZeroOptions,
} from '@palimpsest/block-device';

/** A change that waits or is under way. */
interface Claim {
  readonly start: number;
  readonly end: number;
  /** True for merges, which bear no other change on their blocks. */
  readonly exclusive: boolean;
  /** Called when the claim is given up. Most claims are never waited for. */
  waiters: (() => void)[] | undefined;
}

const gates = new WeakMap<BlockDevice, DeviceGate>();

/** The gate of `device`: the same for everyone who asks. */
export function gateOf(device: BlockDevice): DeviceGate {
  let gate = gates.get(device);
  if (gate === undefined) {
    gate = new DeviceGate(device);
    gates.set(device, gate);
  }
  return gate;
}

/** See the header of this file. */
export class DeviceGate {
  readonly device: BlockDevice;
  readonly #mask: number;
  /** In the order of arrival (G2). Whole-block changes are only here while they are not done. */
  readonly #claims = new Set<Claim>();
  #exclusive = 0;
  readonly #sharedFlush: SharedFlush;

  constructor(device: BlockDevice) {
    this.device = device;
    this.#sharedFlush = new SharedFlush(device);
    this.#mask = device.blockSize - 1;
  }

  /** True when the range is whole blocks. Block sizes are at most 2^16, so low bits suffice. */
  aligned(position: number, length: number): boolean {
    return (((position % 65_536) | length) & this.#mask) === 0;
  }

  /** Stores `source` at any byte. The buffer is the gate's until done. */
  write(source: Uint8Array, position: number): Completion {
    const { length } = source;
    if (!this.aligned(position, length)) return this.#merge(source, position);
    if (this.#exclusive > 0) {
      return this.#hold(position, position + length, false, () =>
        this.device.write(source, position),
      );
    }
    const completion = this.device.write(source, position);
    return completion === undefined ? undefined : this.#track(completion, position, length);
  }

  /** Makes a range of any bytes read as zeros. Whole blocks first, so `fast` is refused cleanly. */
  async zero(position: number, length: number, options: ZeroOptions): Promise<void> {
    const { blockSize } = this.device;
    const end = position + length;
    const start = Math.ceil(position / blockSize) * blockSize;
    const stop = Math.floor(end / blockSize) * blockSize;
    if (start >= stop) {
      await this.#merge(new Uint8Array(length), position);
      return;
    }
    await this.#hold(start, stop, false, () => this.device.zero(start, stop - start, options));
    if (position < start) await this.#merge(new Uint8Array(start - position), position);
    if (stop < end) await this.#merge(new Uint8Array(end - stop), stop);
  }

  /** Discards the whole blocks of a range; a hint, so the edges are left alone. */
  async discard(position: number, length: number): Promise<void> {
    const { blockSize } = this.device;
    const start = Math.ceil(position / blockSize) * blockSize;
    const stop = Math.floor((position + length) / blockSize) * blockSize;
    if (start >= stop) return;
    await this.#hold(start, stop, false, () => this.device.discard(start, stop - start));
  }

  /** Makes every change that is done durable (G3). */
  flush(): Completion {
    return this.#sharedFlush.flush();
  }

  /** Reads the blocks around `source`, lays it over them and writes them back (G1). */
  #merge(source: Uint8Array, position: number): Completion {
    const { blockSize } = this.device;
    const start = Math.floor(position / blockSize) * blockSize;
    const end = Math.ceil((position + source.length) / blockSize) * blockSize;
    return this.#hold(start, end, true, () => {
      const blocks = new Uint8Array(end - start);
      const headPartial = position > start;
      const tailPartial = position + source.length < end;
      const last = end - start - blockSize;
      const reads: Promise<void>[] = [];
      const read = (at: number) => {
        const completion = this.device.readInto(blocks.subarray(at, at + blockSize), start + at);
        if (completion !== undefined) reads.push(completion);
      };
      if (headPartial || (tailPartial && last === 0)) read(0);
      if (tailPartial && last > 0) read(last);
      const store = () => {
        blocks.set(source, position - start);
        return this.device.write(blocks, start);
      };
      return reads.length === 0 ? store() : Promise.all(reads).then(store);
    });
  }

  /** Does `work` when nothing that excludes it is before it; at once when nothing is. */
  #hold(start: number, end: number, exclusive: boolean, work: () => Completion): Completion {
    const before: Promise<void>[] = [];
    for (const claim of this.#claims) {
      const overlaps = claim.start < end && start < claim.end;
      if (overlaps && (exclusive || claim.exclusive)) before.push(gone(claim));
    }
    if (before.length > 0) {
      const claim = this.#claim(start, end, exclusive);
      return this.#giveAfter(Promise.all(before).then(work), claim);
    }
    // Nothing else can run before `work` returns, so a claim is needed only if it goes on after.
    const completion = work();
    if (completion === undefined) return undefined;
    return this.#giveAfter(completion, this.#claim(start, end, exclusive));
  }

  /** Remembers a whole-block change under way, so that a merge waits for it. */
  #track(completion: Promise<void>, position: number, length: number): Promise<void> {
    return this.#giveAfter(completion, this.#claim(position, position + length, false));
  }

  #giveAfter(work: Promise<void>, claim: Claim): Promise<void> {
    return work.then(
      () => this.#give(claim),
      (error: unknown) => {
        this.#give(claim);
        throw error;
      },
    );
  }

  #claim(start: number, end: number, exclusive: boolean): Claim {
    const claim = { start, end, exclusive, waiters: undefined };
    this.#claims.add(claim);
    if (exclusive) this.#exclusive += 1;
    return claim;
  }

  #give(claim: Claim): void {
    this.#claims.delete(claim);
    if (claim.exclusive) this.#exclusive -= 1;
    if (claim.waiters === undefined) return;
    for (const wake of claim.waiters) wake();
  }
}

/** Resolves when the claim is given up. */
function gone(claim: Claim): Promise<void> {
  return new Promise((resolve) => {
    claim.waiters ??= [];
    claim.waiters.push(resolve);
  });
}
