/**
 * failing: makes chosen calls of a device fail, and damages what is read from it, while the bytes
 * beneath stay as they are: a fault is an overlay, so it can be taken away again.
 */
import type { BlockDevice, BlockDriver, Completion } from '../block-device.js';
import { checked } from '../checked.js';
import { StorageError } from '../errors.js';

/** The calls that can be made to fail. */
export type FaultyCall = 'read' | 'write' | 'zero' | 'discard' | 'flush' | 'resize';

/** Which calls fail, and how. */
export interface Fault {
  readonly call: FaultyCall;
  /** The first call of the kind that fails, counted from 1 from the moment the fault is added. */
  readonly nth: number;
  /** Only that one, or every one from then on. @default 'once' */
  readonly repeat?: 'once' | 'from-then-on';
  /** @default 'ERR_IO' */
  readonly code?: 'ERR_IO' | 'ERR_NO_SPACE';
  /**
   * What a failing call does first: nothing, or its work all the same (the error then came after
   * it), or the first half of a write or read. @default 'nothing'
   */
  readonly does?: 'nothing' | 'half' | 'all';
  /** Called when the fault fires, before the error is thrown. */
  readonly onFire?: () => void;
}

/** A device with faults, and the handles to put them there. */
export interface FailingDevice {
  readonly device: BlockDevice;
  /** Calls made so far, of each kind. */
  readonly calls: Readonly<Record<FaultyCall, number>>;
  /** Adds a fault. */
  fail(fault: Fault): void;
  /** Reads of the byte at `position` give it with bit `bit` (0..7) inverted. */
  flip(position: number, bit: number): void;
  /** Reads of the block at `position` give the one at `other` instead: a misdirected write. */
  misdirect(position: number, other: number): void;
  /** Reads of the block at `position` give `bytes`: a write that was lost, or a stale copy. */
  overlay(position: number, bytes: Uint8Array): void;
  /** Reads that touch the block at `position` answer ERR_IO. */
  unreadable(position: number): void;
  /** Takes every fault away. */
  heal(): void;
}

interface Planned {
  readonly fault: Fault;
  readonly from: number;
  spent: boolean;
}

/** Puts faults over `device`. A view: closing it leaves `device` open. */
export function failing(device: BlockDevice, faults: readonly Fault[] = []): FailingDevice {
  const calls: Record<FaultyCall, number> = {
    read: 0,
    write: 0,
    zero: 0,
    discard: 0,
    flush: 0,
    resize: 0,
  };
  const { blockSize } = device;
  const planned: Planned[] = [];
  const flips = new Map<number, number>();
  const overlays = new Map<number, Uint8Array | number>();
  const bad = new Set<number>();

  const fire = (call: FaultyCall): Fault | undefined => {
    const count = ++calls[call];
    const hit = planned.find(
      ({ fault, from, spent }) => fault.call === call && !spent && count >= from + fault.nth - 1,
    );
    if (hit === undefined) return undefined;
    hit.spent = hit.fault.repeat !== 'from-then-on';
    hit.fault.onFire?.();
    return hit.fault;
  };
  const run = (call: FaultyCall, all: () => Completion, half: () => Completion): Completion => {
    const fault = fire(call);
    if (fault === undefined) return all();
    const error = new StorageError(fault.code ?? 'ERR_IO', `injected: ${call} ${calls[call]}`);
    const done = fault.does === 'all' ? all() : fault.does === 'half' ? half() : undefined;
    if (done === undefined) throw error;
    return done.then(() => {
      throw error;
    });
  };
  const damage = (target: Uint8Array, position: number): Completion => {
    const end = position + target.length;
    for (const block of bad) {
      if (block < end && block + blockSize > position) {
        throw new StorageError('ERR_IO', `injected: bytes at ${block} cannot be read`);
      }
    }
    let pending: Completion;
    for (const [block, bytes] of overlays) {
      if (block < position || block >= end) continue;
      const part = target.subarray(block - position, block - position + blockSize);
      if (typeof bytes !== 'number') part.set(bytes);
      else pending = chain(pending, () => device.readInto(part, bytes));
    }
    return chain(pending, () => {
      for (const [byte, bit] of flips) {
        if (byte < position || byte >= end) continue;
        target[byte - position] = (target[byte - position] as number) ^ (1 << bit);
      }
      return undefined;
    });
  };
  const half = (bytes: Uint8Array): Uint8Array =>
    bytes.subarray(0, Math.floor(bytes.length / blockSize / 2) * blockSize);
  const nothing = (): Completion => undefined;

  const driver: BlockDriver = {
    blockSize,
    get size(): number {
      return device.size;
    },
    readOnly: device.readOnly,
    readInto: (target, position) =>
      run(
        'read',
        () => chain(device.readInto(target, position), () => damage(target, position)),
        () => (half(target).length === 0 ? undefined : device.readInto(half(target), position)),
      ),
    write: (source, position) =>
      run(
        'write',
        () => device.write(source, position),
        () => (half(source).length === 0 ? undefined : device.write(half(source), position)),
      ),
    zero: (position, length, how) => run('zero', () => device.zero(position, length, how), nothing),
    discard: (position, length) => run('discard', () => device.discard(position, length), nothing),
    flush: () => run('flush', () => device.flush(), nothing),
    extents: (position, length) => device.extents(position, length),
    resize: async (size) => run('resize', () => device.resize(size), nothing),
    close: () => Promise.resolve(),
  };
  const fail = (fault: Fault): void => {
    planned.push({ fault, from: calls[fault.call] + 1, spent: false });
  };
  for (const fault of faults) fail(fault);
  return {
    device: checked(driver),
    calls,
    fail,
    flip: (position, bit) => void flips.set(position, bit),
    misdirect: (position, other) => void overlays.set(position, other),
    overlay: (position, bytes) => void overlays.set(position, bytes.slice()),
    unreadable: (position) => void bad.add(position),
    heal() {
      planned.length = 0;
      flips.clear();
      overlays.clear();
      bad.clear();
    },
  };
}

/** `next` after `first`, at once when `first` is done. */
function chain(first: Completion, next: () => Completion): Completion {
  return first === undefined ? next() : first.then(next);
}
