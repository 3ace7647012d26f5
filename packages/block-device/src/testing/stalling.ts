/**
 * stalling: a device that answers nothing for a while, as a disk that hangs or a server that is gone.
 * What is asked of it meanwhile is done when it is released, in the order asked.
 */
import type { BlockDevice, BlockDriver, Completion } from '../block-device.js';
import { checked } from '../checked.js';

/** The calls that can be made to wait. */
export type StalledCall = 'read' | 'write' | 'zero' | 'discard' | 'flush';

/** A device that can be stalled. */
export interface StallingDevice {
  readonly device: BlockDevice;
  /** Calls that wait now. */
  readonly waiting: number;
  /** From now on calls wait: those of some kinds, or all. */
  stall(...calls: readonly StalledCall[]): void;
  /** What waits is done, and what comes is done at once again. */
  release(): void;
}

/** Shows `device` as one that can be stalled. A view: closing it leaves `device` open. */
export function stalling(device: BlockDevice): StallingDevice {
  let stalled: ReadonlySet<StalledCall> | 'all' | undefined;
  const waiting: (() => void)[] = [];

  const run = (call: StalledCall, work: () => Completion): Completion => {
    if (stalled === undefined || (stalled !== 'all' && !stalled.has(call))) return work();
    return new Promise<void>((resolve) => waiting.push(resolve)).then(work);
  };
  const driver: BlockDriver = {
    blockSize: device.blockSize,
    get size(): number {
      return device.size;
    },
    readOnly: device.readOnly,
    readInto: (target, position) => run('read', () => device.readInto(target, position)),
    write: (source, position) => run('write', () => device.write(source, position)),
    zero: (position, length, how) => run('zero', () => device.zero(position, length, how)),
    discard: (position, length) => run('discard', () => device.discard(position, length)),
    flush: () => run('flush', () => device.flush()),
    extents: (position, length) => device.extents(position, length),
    resize: (size) => device.resize(size),
    close: () => Promise.resolve(),
  };
  return {
    device: checked(driver),
    get waiting(): number {
      return waiting.length;
    },
    stall(...calls) {
      stalled = calls.length === 0 ? 'all' : new Set(calls);
    },
    release() {
      stalled = undefined;
      for (const resume of waiting.splice(0)) resume();
    },
  };
}
