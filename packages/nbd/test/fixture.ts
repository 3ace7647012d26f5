/** A server in memory with one writable and one read-only export, and timers the test moves on. */
import {
  type BlockDevice,
  type BlockDriver,
  checked,
  createMemoryDevice,
} from '@palimpsest/block-device';
import {
  createNbdServer,
  type MetaContext,
  type NbdLimits,
  type NbdServer,
  type Timers,
} from '../src/index.js';

export const SIZE: number = 1 << 20;

/** Timers that fire when the test says so. */
export function manualTimers(): Timers & { advance(ms: number): void } {
  const pending = new Map<number, { at: number; callback: () => void }>();
  let now = 0;
  let next = 0;
  return {
    set(callback, ms) {
      next += 1;
      pending.set(next, { at: now + ms, callback });
      return next;
    },
    clear(handle) {
      pending.delete(handle as number);
    },
    advance(ms) {
      const end = now + ms;
      for (;;) {
        const due = [...pending].filter(([, timer]) => timer.at <= end);
        const [first] = due.sort(([, a], [, b]) => a.at - b.at);
        if (first === undefined) break;
        pending.delete(first[0]);
        now = first[1].at;
        first[1].callback();
      }
      now = end;
    },
  };
}

export interface Fixture {
  readonly server: NbdServer;
  readonly device: BlockDevice;
  readonly timers: ReturnType<typeof manualTimers>;
  /** Opens minus releases. */
  leases(): number;
  /** How often an export was opened. */
  opens(): number;
  readonly log: string[];
}

/** `''` and `disk` are the device, `locked` a read-only view of it. */
export function serveMemory(
  options: {
    device?: BlockDevice;
    limits?: Partial<NbdLimits>;
    contexts?: () => readonly MetaContext[];
    open?: (name: string) => Promise<void>;
    release?: () => Promise<void>;
  } = {},
): Fixture {
  const device = options.device ?? createMemoryDevice({ size: SIZE });
  const locked = checked({
    blockSize: device.blockSize,
    size: device.size,
    readOnly: true,
    readInto: (target, position) => device.readInto(target, position),
    write: () => undefined,
    flush: () => undefined,
    close: async () => {},
  });
  const timers = manualTimers();
  const log: string[] = [];
  const note = (message: string) => void log.push(message);
  let leases = 0;
  let opens = 0;
  const server = createNbdServer({
    timers,
    logger: { info: note, warn: note, error: note },
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    catalog: {
      list: async () => [{ name: 'disk', description: 'the disk' }, { name: 'locked' }],
      async open(name) {
        await options.open?.(name);
        if (name !== '' && name !== 'disk' && name !== 'locked') return undefined;
        leases += 1;
        opens += 1;
        let released = false;
        return {
          device: name === 'locked' ? locked : device,
          description: 'the disk',
          ...(options.contexts === undefined ? {} : { contexts: options.contexts }),
          async release() {
            if (released) throw new Error('released twice');
            released = true;
            leases -= 1;
            await options.release?.();
          },
        };
      },
    },
  });
  return { server, device, timers, log, leases: () => leases, opens: () => opens };
}

/** A memory device whose every call may take a while, and which counts what is under way. */
export function slowDevice(
  size: number,
  delay: () => Promise<void> | undefined,
  overrides: Partial<BlockDriver> = {},
): BlockDevice & { calls: string[] } {
  const memory = createMemoryDevice({ size });
  const calls: string[] = [];
  const after = <T>(work: () => T): T | Promise<T> => {
    const wait = delay();
    return wait === undefined ? work() : wait.then(work);
  };
  const driver: BlockDriver = {
    blockSize: memory.blockSize,
    size,
    readOnly: false,
    readInto: (target, position) => after(() => memory.readInto(target, position)) as undefined,
    write(source, position) {
      calls.push(`write ${position} ${source.length}`);
      return after(() => memory.write(source, position)) as undefined;
    },
    flush() {
      calls.push('flush');
      return after(() => undefined) as undefined;
    },
    zero: (position, length) => after(() => memory.zero(position, length)) as undefined,
    discard: (position, length) => after(() => memory.discard(position, length)) as undefined,
    close: () => memory.close(),
    ...overrides,
  };
  return Object.assign(checked(driver), { calls });
}

/** Lets everything that is ready happen. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** A promise and its resolver. */
export function latch(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
