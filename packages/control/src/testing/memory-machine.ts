/**
 * A machine of memory: files, locks, a clock and a timer for tests of a store. Files survive the
 * stores that open them; two environments of one machine are two processes on it.
 */
import {
  type BlockDevice,
  checked,
  createMemoryDevice,
  StorageError,
} from '@palimpsest/block-device';
import type { ControlEnvironment, StoreLock } from '../index.js';

interface MemoryFile {
  readonly identity: string;
  device: BlockDevice;
  size: number;
}

export interface MemoryMachine {
  readonly files: Map<string, MemoryFile>;
  /** Paths of locks held. */
  readonly locks: Set<string>;
  readonly log: string[];
  nowMs: number;
  /** Runs what `every` was given, once. */
  tick(): Promise<void>;
  /** A process's view of the machine. */
  process(): ControlEnvironment;
  /** Puts a file there, filled with `fill`. */
  put(path: string, size: number, fill?: number): void;
  bytes(path: string): Promise<Uint8Array>;
  overwrite(path: string, position: number, bytes: Uint8Array): Promise<void>;
  /** Creations refused for want of space from now on. */
  full: boolean;
}

const BLOCK = 512;

export function createMemoryMachine(): MemoryMachine {
  const files = new Map<string, MemoryFile>();
  const links = new Map<string, string>();
  const locks = new Set<string>();
  const log: string[] = [];
  const timers = new Set<() => void>();
  let inode = 0;
  let random = 1;

  function file(path: string): MemoryFile {
    const found = files.get(path);
    if (found === undefined) throw new StorageError('ERR_NOT_FOUND', `no file ${path}`);
    return found;
  }
  /** A device of its own over the file's memory: closing it leaves the memory. */
  function view(entry: MemoryFile, blockSize: number): BlockDevice {
    if (entry.size % blockSize !== 0) {
      throw new StorageError('ERR_INVALID', `${entry.size} bytes are not blocks of ${blockSize}`);
    }
    return checked({
      blockSize,
      get size() {
        return entry.size;
      },
      readOnly: false,
      readInto: (target, position) => entry.device.readInto(target, position),
      write: (source, position) => entry.device.write(source, position),
      zero: (position, length, options) => entry.device.zero(position, length, options),
      flush: () => entry.device.flush(),
      async resize(size) {
        await entry.device.resize(size);
        entry.size = size;
      },
      close: async () => {},
    });
  }
  function add(path: string, size: number): MemoryFile {
    inode += 1;
    const whole = Math.ceil(size / BLOCK) * BLOCK;
    const device = createMemoryDevice({ blockSize: BLOCK, size: whole });
    const entry = { identity: `1:${inode}`, device, size };
    files.set(path, entry);
    return entry;
  }

  const machine: MemoryMachine = {
    files,
    locks,
    log,
    nowMs: Date.UTC(2026, 10, 22, 12),
    full: false,
    async tick() {
      for (const work of timers) work();
      await new Promise((resolve) => setImmediate(resolve));
    },
    put(path, size, fill = 0) {
      const entry = add(path, size);
      if (fill !== 0) void entry.device.write(new Uint8Array(entry.device.size).fill(fill), 0);
    },
    async bytes(path) {
      const entry = file(path);
      const all = new Uint8Array(entry.device.size);
      if (all.length > 0) await entry.device.readInto(all, 0);
      return all.subarray(0, entry.size);
    },
    async overwrite(path, position, bytes) {
      const start = Math.floor(position / BLOCK) * BLOCK;
      const end = Math.ceil((position + bytes.length) / BLOCK) * BLOCK;
      const whole = new Uint8Array(end - start);
      await file(path).device.readInto(whole, start);
      whole.set(bytes, position - start);
      await file(path).device.write(whole, start);
    },
    process() {
      return {
        now: () => machine.nowMs,
        every(_periodMs, work) {
          timers.add(work);
          return () => timers.delete(work);
        },
        sleep: () => Promise.resolve(),
        turn: () => Promise.resolve(),
        random(length) {
          random += 1;
          return new Uint8Array(length).fill(random);
        },
        logger: {
          debug: (message) => log.push(message),
          info: (message) => log.push(message),
          warn: (message) => log.push(message),
          error: (message) => log.push(message),
        },
        files: {
          async resolve(base, path) {
            const absolute = path.startsWith('/') ? path : `${base}/${path}`;
            return links.get(absolute) ?? absolute;
          },
          within(directory, path) {
            return path.startsWith(`${directory}/`) ? path.slice(directory.length + 1) : undefined;
          },
          ancestors(path) {
            const parts = path.split('/').slice(1, -1);
            return parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`);
          },
          async status(path) {
            const entry = files.get(path);
            if (entry === undefined) return undefined;
            return { kind: 'file', identity: entry.identity, size: entry.size };
          },
          makeDirectory: async () => {},
          async create(path, size, blockSize) {
            if (machine.full) throw new StorageError('ERR_NO_SPACE', 'no space left on device');
            if (files.has(path)) throw new StorageError('ERR_EXISTS', `${path} exists`);
            return view(add(path, size), blockSize);
          },
          open: async (path, blockSize) => view(file(path), blockSize),
          async rename(from, to) {
            files.set(to, file(from));
            files.delete(from);
          },
          async remove(path) {
            files.delete(path);
          },
          async lock(path): Promise<StoreLock> {
            const { identity } = file(path);
            if (locks.has(identity)) throw new StorageError('ERR_BUSY', 'held by process 4242');
            locks.add(identity);
            return {
              async release() {
                locks.delete(identity);
              },
            };
          },
        },
      };
    },
  };
  return machine;
}
