/**
 * NbdServer: any number of clients on any streams, served from one catalog. It listens nowhere
 * itself; whoever accepts connections hands them in.
 *   V1  One client's misbehaviour, however odd, ends at most that client.
 *   V2  `close` ends within the grace period, whatever clients and devices do.
 *   V3  When `endSessions` resolves, nobody who had the export open has it open still. Whoever gets it
 *       from the catalog after the call is a new client, and may stay.
 */
import type { Duplex } from 'node:stream';
import { StorageError } from '@palimpsest/block-device';
import { Budget } from './budget.js';
import {
  type ClientInfo,
  type ExportCatalog,
  type Logger,
  MACHINE_TIMERS,
  SILENT,
  type Timers,
} from './catalog.js';
import { DEFAULT_LIMITS, type NbdLimits } from './limits.js';
import { Session, type SessionHost } from './session.js';
import { SlabPool } from './slabs.js';
import { type Connection, tune, turn } from './stream.js';

/** What a server needs. */
export interface NbdServerOptions {
  readonly catalog: ExportCatalog;
  /** Any of the limits; the others keep their defaults. */
  readonly limits?: Partial<NbdLimits>;
  readonly logger?: Logger;
  readonly timers?: Timers;
  /** Milliseconds since 1970, for `connectedAt`. */
  readonly now?: () => number;
}

/** A server without a listener. */
export interface NbdServer {
  /**
   * Serves a client. Resolves when it is gone and its export is released; never rejects. The
   * stream is the server's from now on. One that reads into the server's memory saves a lot.
   * @param peer who it is, for logs and `clients`
   */
  serve(connection: Connection, peer?: string): Promise<void>;
  /** The clients that have chosen an export, in the order of arrival. */
  clients(): readonly ClientInfo[];
  /**
   * Ends the sessions of exports: new requests get ESHUTDOWN, those under way finish or fail, what
   * was written is flushed, the connection is closed; after the grace period it is cut. Resolves with
   * the number of clients when all have released the export (V3); they may come back to the same name
   * at once: a catalog that swaps it lets `open` wait meanwhile, but must not let `release` wait.
   * @param which the name, as clients ask for it, or which names
   * @param reason what clients are told, as far as their requests have room for it
   * @throws {StorageError} ERR_BUSY when some still hold it after twice the grace period, because the
   * device does not finish their requests.
   */
  endSessions(which: string | ((exportName: string) => boolean), reason: string): Promise<number>;
  /** Ends all sessions in the same way and refuses new ones. Resolves within the grace period. */
  close(): Promise<void>;
}

/** Makes a server. Nothing happens until `serve` is called. */
export function createNbdServer(options: NbdServerOptions): NbdServer {
  return new Server(options);
}

class Server implements NbdServer {
  readonly #host: SessionHost;
  /** In the order of arrival. */
  readonly #sessions = new Set<Session>();
  readonly #negotiating = new Set<Session>();
  /** Places taken by handshakes: those negotiating and those about to. */
  #handshakes = 0;
  /** Connections that wait for a place among those in their handshake. */
  readonly #waiting = new Set<(granted: boolean) => void>();
  readonly #stalls = new Map<Session, { progress: number; ticks: number }>();
  #connections = 0;
  #closing: Promise<void> | undefined;
  #ticking = false;

  constructor(options: NbdServerOptions) {
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#host = {
      catalog: options.catalog,
      limits,
      logger: options.logger ?? SILENT,
      timers: options.timers ?? MACHINE_TIMERS,
      now: options.now,
      budget: new Budget(limits.maxServerBytes),
      pool: new SlabPool(),
      sessionsOf: (name) => this.#of(name).length,
      handshakeOver: (session) => {
        if (this.#negotiating.delete(session)) this.#placeIsFree();
      },
    };
  }

  async serve(connection: Connection, peer = 'unknown'): Promise<void> {
    const { limits, logger } = this.#host;
    const session = new Session(connection, peer, this.#host);
    const { stream } = session;
    stream.on('error', () => {
      // 'close' follows and is what counts; a session, once there is one, logs it.
    });
    if (this.#closing !== undefined || this.#connections >= limits.maxConnections) {
      if (this.#closing === undefined) logger.warn('too many connections', { peer });
      stream.destroy();
      return;
    }
    this.#connections += 1;
    try {
      tune(stream);
      if (await this.#place(stream)) await this.#run(session);
    } finally {
      this.#connections -= 1;
    }
  }

  clients(): readonly ClientInfo[] {
    const clients: ClientInfo[] = [];
    for (const { peer, exportName, connectedAt, transmission } of this.#sessions) {
      if (exportName === undefined || transmission === undefined) continue;
      const { requests, bytesRead, bytesWritten } = transmission;
      const at = connectedAt === undefined ? {} : { connectedAt };
      clients.push({ peer, exportName, requests, bytesRead, bytesWritten, ...at });
    }
    return clients;
  }

  async endSessions(
    which: string | ((exportName: string) => boolean),
    reason: string,
  ): Promise<number> {
    const matches = typeof which === 'string' ? (name: string) => name === which : which;
    // Who was handed the export just now takes it up in this turn.
    await turn();
    const sessions: Session[] = [];
    const leaving: Promise<void>[] = [];
    let count = 0;
    for (const session of this.#sessions) {
      const leaves = session.leave(matches, reason);
      if (leaves === undefined) continue;
      sessions.push(session);
      leaving.push(leaves.left);
      if (leaves.isClient) count += 1;
    }
    const left = Promise.all(leaving);
    if ((await this.#within(left, sessions)) || (await this.#within(left, []))) return count;
    throw new StorageError(
      'ERR_BUSY',
      `of ${count} clients some have requests under way that the device has not finished in ` +
        `${2 * this.#host.limits.graceMs} ms; their connections are cut; try again`,
    );
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const grant of this.#waiting) grant(false);
    this.#waiting.clear();
    const sessions = [...this.#sessions];
    for (const session of sessions) session.shutDown('the server is shutting down');
    await this.#within(Promise.all(sessions.map((session) => session.done)), sessions);
  }

  #of(exportName: string): Session[] {
    return [...this.#sessions].filter((session) => session.exportName === exportName);
  }

  /** Waits for the end of `sessions`; cuts them off after the grace period. False when that is late. */
  async #within(ended: Promise<unknown>, sessions: readonly Session[]): Promise<boolean> {
    const { timers, limits, logger } = this.#host;
    let timer: unknown;
    const late = new Promise<boolean>((resolve) => {
      timer = timers.set(() => {
        if (sessions.length > 0) {
          logger.warn('sessions had to be ended by force', { count: sessions.length });
        }
        for (const session of sessions) session.destroy();
        // One turn for those that only had to lose their stream; V2 waits for nobody else.
        setImmediate(() => setImmediate(() => resolve(false)));
      }, limits.graceMs);
    });
    const inTime = await Promise.race([ended.then(() => true), late]);
    timers.clear(timer);
    return inTime;
  }

  /** Waits until one more handshake may begin. False when the stream has gone, or the server. */
  async #place(stream: Duplex): Promise<boolean> {
    if (this.#handshakes < this.#host.limits.maxHandshakes) this.#handshakes += 1;
    else if (!(await this.#waitForPlace(stream))) {
      stream.destroy();
      return false;
    }
    if (this.#closing === undefined && !stream.destroyed) return true;
    this.#placeIsFree();
    stream.destroy();
    return false;
  }

  /** True when a place was handed over; false when the stream has gone, or the server. */
  #waitForPlace(stream: Duplex): Promise<boolean> {
    return new Promise((resolve) => {
      this.#waiting.add(resolve);
      stream.once('close', () => {
        this.#waiting.delete(resolve);
        resolve(false);
      });
    });
  }

  /** Hands the place to the one who waits longest. */
  #placeIsFree(): void {
    for (const grant of this.#waiting) {
      this.#waiting.delete(grant);
      grant(true);
      return;
    }
    this.#handshakes -= 1;
  }

  async #run(session: Session): Promise<void> {
    this.#sessions.add(session);
    this.#negotiating.add(session);
    this.#tick();
    await session.run();
    this.#negotiating.delete(session);
    this.#sessions.delete(session);
    this.#stalls.delete(session);
  }

  /** Looks at all sessions a few times in each stall period, while there are any. */
  #tick(): void {
    if (this.#ticking || this.#sessions.size === 0) return;
    this.#ticking = true;
    this.#host.timers.set(() => {
      this.#ticking = false;
      for (const session of this.#sessions) this.#dropWhenStalled(session);
      this.#tick();
    }, this.#host.limits.stallMs / STALL_TICKS);
  }

  #dropWhenStalled(session: Session): void {
    const { transmission } = session;
    if (transmission === undefined) return;
    const { progress, waitsForPeer } = transmission;
    const seen = this.#stalls.get(session);
    const ticks = waitsForPeer && seen?.progress === progress ? seen.ticks + 1 : 0;
    this.#stalls.set(session, { progress, ticks });
    if (ticks < STALL_TICKS) return;
    this.#host.logger.warn('a stalled client was dropped', { peer: session.peer });
    session.destroy();
  }
}

/** How often a stall period is looked at: a stall is noticed at most this part of it too late. */
const STALL_TICKS = 3;
