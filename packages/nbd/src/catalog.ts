/**
 * What the server is handed and what it tells: exports, a log, clients. The server knows devices
 * by name and nothing else of them.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import type { MetaContext } from './meta-contexts.js';

/** A device opened for one client, or one look at it. */
export interface NbdExport {
  /**
   * Opens of exports that share blocks must hand out the same device object: the server locks
   * blocks per device, which is what keeps two half-block writes of two clients both.
   */
  readonly device: BlockDevice;
  /** A line for people. */
  readonly description?: string;
  /**
   * What clients may ask about ranges, beside `base:allocation`, which every device has. Called only
   * for a client that asks what there is, or for one of these: most never do.
   */
  contexts?(): readonly MetaContext[];
  /** Called exactly once per open, when no request is under way any more. */
  release(): Promise<void>;
}

/** The names a client can ask for. */
export interface ExportCatalog {
  /** The exports a client may see. */
  list(): Promise<readonly { readonly name: string; readonly description?: string }[]>;
  /** Opens the export `name`, `''` for the default one; undefined when there is none. */
  open(name: string): Promise<NbdExport | undefined>;
}

/** Where the server says what happened. Messages are for people, `fields` for programs. */
export interface Logger {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** A client that has chosen its export. */
export interface ClientInfo {
  /** As given to `serve`. */
  readonly peer: string;
  readonly exportName: string;
  /** By the clock the server was given; absent without one. */
  readonly connectedAt?: number;
  /** Requests answered or under way. */
  readonly requests: number;
  /** Bytes the client asked to read, and bytes it asked to write. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** One-shot timers; tests pass their own. */
export interface Timers {
  set(callback: () => void, ms: number): unknown;
  clear(handle: unknown): void;
}

/** A log that keeps nothing. */
export const SILENT: Logger = { info() {}, warn() {}, error() {} };

/** The timers of the machine. They keep no process alive. */
export const MACHINE_TIMERS: Timers = {
  set: (callback, ms) => setTimeout(callback, ms).unref(),
  clear: (handle) => clearTimeout(handle as NodeJS.Timeout),
};
