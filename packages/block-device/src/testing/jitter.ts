/**
 * jitter: completes calls after a seeded random number of turns, so that calls in flight overtake
 * each other and code that relied on everything being done at once is found out. Some calls still
 * complete at once. The caller's buffer is used late and read targets hold garbage until they are
 * filled, so a caller that touches a buffer too early (D11) is found out too.
 */
import type { BlockDevice, BlockDriver, Completion } from '../block-device.js';
import { checked } from '../checked.js';
import type { Random } from './random.js';

/** How calls are delayed. */
export interface JitterOptions {
  /** Where the delays come from. */
  readonly random: Random;
  /** The longest delay before, and again after, the work, in turns. @default 5 */
  readonly maxTurns?: number;
  /** Now and then a delay is much longer, so that a whole commit fits in. @default never */
  readonly stall?: { readonly chance: number; readonly maxTurns: number };
  /**
   * One turn. @default a turn of the microtask queue, which reorders calls and costs nothing;
   * pass one on `setImmediate` to let the whole event loop go round.
   */
  readonly turn?: () => Promise<void>;
}

/** What an unfilled read target holds: a value that is easy to recognise in a failure. */
export const POISON = 0xa5;

/** Waits for a random number of turns. `undefined` when that is none. */
export function delay(options: JitterOptions): Completion {
  const { random, stall, maxTurns = 5 } = options;
  const stalls = stall !== undefined && random.chance(stall.chance);
  const turns = random.below((stalls ? stall.maxTurns : maxTurns) + 1);
  return turns === 0 ? undefined : take(turns, options.turn ?? microtask);
}

/** Shows `device` as one whose calls take random turns. A view: closing it leaves `device` open. */
export function jitter(device: BlockDevice, options: JitterOptions): BlockDevice {
  const around = (work: () => Completion): Completion => late(options, work);
  const driver: BlockDriver = {
    blockSize: device.blockSize,
    get size(): number {
      return device.size;
    },
    readOnly: device.readOnly,
    readInto(target, position) {
      target.fill(POISON);
      return around(() => device.readInto(target, position));
    },
    write: (source, position) => around(() => device.write(source, position)),
    zero: (position, length, how) => around(() => device.zero(position, length, how)),
    discard: (position, length) => around(() => device.discard(position, length)),
    // Asked at once: a flush that began later would cover more than D2 promises, and hide bugs.
    async flush() {
      await device.flush();
      await delay(options);
    },
    extents: (position, length) => device.extents(position, length),
    resize: (size) => device.resize(size),
    close: () => Promise.resolve(),
  };
  return checked(driver);
}

/** Does `work` between two random delays, or at once when both are none. */
export function late(options: JitterOptions, work: () => Completion): Completion {
  const before = delay(options);
  if (before === undefined) {
    const done = work();
    const after = delay(options);
    if (done === undefined) return after;
    return after === undefined ? done : done.then(() => after);
  }
  return before.then(work).then(() => delay(options));
}

async function take(turns: number, turn: () => Promise<void>): Promise<void> {
  for (let taken = 0; taken < turns; taken++) await turn();
}

function microtask(): Promise<void> {
  return Promise.resolve();
}
