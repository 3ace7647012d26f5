/**
 * serveStore: one store, open under its lock, with all its volumes, snapshots and branches served
 * to NBD clients, and its verbs to the control API.
 *
 *   V1  Whatever fails while it starts, what was opened before is closed again.
 *   V2  It stops in order: no new clients; clients end; what was written is durable; the lock is
 *       free. All within 5 seconds.
 */
import net from 'node:net';
import {
  type JobInfo,
  type Logger,
  openStore,
  type Store,
  type StoreEvent,
} from '@palimpsest/control';
import { createFileVerbs, createMounts, type FileVerbs } from '@palimpsest/mounted-files';
import { createNbdServer, type NbdServer } from '@palimpsest/nbd';
import { createApi } from './api.js';
import { closeControlServer, createControlServer } from './control-server.js';
import { createExportCatalog, meaning } from './export-catalog.js';
import { controlSocketPath, nbdSocketPath } from './layout.js';
import { silentLogger } from './logger.js';
import { createNodeEnvironment } from './node-environment.js';
import { readingInto } from './reading-into.js';
import type { ServiceAddresses, ServiceClient } from './service.js';
import { listenOnLoopback, listenOnSocket } from './sockets.js';
import { ensureToken } from './token.js';
import { who } from './who.js';

/** What NBD clients are given to finish in: with the rest of V2 it stays under 5 seconds. */
const NBD_GRACE_MS = 3_000;

/** What to serve, and where. */
export interface ServeOptions {
  /** The store's directory, absolute. */
  readonly dir: string;
  readonly nbd?: {
    /** @default nbd.sock in the store's directory */
    readonly socketPath?: string;
    /** @default none: only who may open the Unix socket is served */
    readonly tcp?: {
      /** A loopback address. @default 127.0.0.1 */
      readonly host?: string;
      /** 0 is any. */
      readonly port: number;
      /** Take the next free port when it is taken. @default false */
      readonly tryNext?: boolean;
    };
  };
  readonly control?: {
    /** @default control.sock in the store's directory, where `pal` looks for it */
    readonly socketPath?: string;
  };
  /** @default one that keeps nothing */
  readonly logger?: Logger;
}

/** A store that is being served. */
export interface RunningServer extends AsyncDisposable {
  readonly store: Store;
  readonly addresses: ServiceAddresses;
  /** Jobs that an earlier process had begun, and that go on now. */
  readonly resumed: readonly JobInfo[];
  clients(): readonly ServiceClient[];
  /** Stops (V2). Idempotent. */
  close(): Promise<void>;
}

/**
 * Serves a store. Resolves when clients can connect.
 * @throws {StorageError} ERR_NOT_FOUND, ERR_BUSY, ERR_FORMAT, ERR_CORRUPT as `openStore`; ERR_BUSY
 * when a port is taken or a server answers on a socket.
 */
export async function serveStore(options: ServeOptions): Promise<RunningServer> {
  const logger = options.logger ?? silentLogger;
  // Undone last to first, when starting fails and when stopping (V1, V2).
  const undo: (() => Promise<void> | void)[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= undoAll(undo, logger);
    return closing;
  };
  try {
    let nbd: NbdServer | undefined;
    const store: Store = await openStore(options.dir, createNodeEnvironment(logger), {
      clientsOf: (reference) =>
        (nbd?.clients() ?? [])
          .filter((client) => meaning(store, client.exportName) === reference)
          .map((client) => client.peer),
      endClients: async (reference) => {
        const means = (name: string): boolean => meaning(store, name) === reference;
        await nbd?.endSessions(means, `${reference} is being replaced; connect again`);
      },
      by: who('daemon'),
    });
    undo.push(() => store.close());
    const files = mountFiles(store, logger, undo);
    const resumed = logWork(store, logger);

    const server = createNbdServer({
      catalog: createExportCatalog(store),
      limits: { graceMs: NBD_GRACE_MS },
      logger,
      now: Date.now,
    });
    nbd = server;
    undo.push(() => server.close());
    const clients = (): readonly ServiceClient[] => server.clients().map(told);

    const nbdTcp = await serveTcp(server, options, logger, undo);
    const addresses: ServiceAddresses = {
      nbdSocket: options.nbd?.socketPath ?? nbdSocketPath(options.dir),
      ...(nbdTcp === undefined ? {} : { nbdTcp }),
      controlSocket: options.control?.socketPath ?? controlSocketPath(options.dir),
    };
    const startedAt = new Date().toISOString();
    const control = createControlServer(
      createApi({
        store,
        files,
        token: await ensureToken(options.dir),
        logger,
        clients,
        service: () => ({ ...addresses, pid: process.pid, startedAt, clients: clients().length }),
      }),
    );
    const releaseControlPath = await listenOnSocket(control, addresses.controlSocket);
    goOn(control, logger);
    undo.push(releaseControlPath, () => closeControlServer(control));

    // Last, so that whoever finds this socket finds everything.
    const unix = acceptor(server, 'unix');
    const releaseNbdPath = await listenOnSocket(unix, addresses.nbdSocket);
    goOn(unix, logger);
    undo.push(releaseNbdPath, () => stopListening(unix));

    logger.info('serving', { directory: options.dir, exports: store.exports().length });
    return { store, addresses, resumed, clients, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The loopback listener, when one is asked for: where it listens. */
async function serveTcp(
  server: NbdServer,
  { nbd: { tcp } = {} }: ServeOptions,
  logger: Logger,
  undo: (() => Promise<void> | void)[],
): Promise<{ readonly host: string; readonly port: number } | undefined> {
  if (tcp === undefined) return undefined;
  const host = tcp.host ?? '127.0.0.1';
  const loopback = acceptor(server, 'tcp');
  const port = await listenOnLoopback(loopback, { ...tcp, host });
  goOn(loopback, logger);
  undo.push(() => stopListening(loopback));
  return { host, port };
}

/** A listener that hands each connection to the NBD server. */
function acceptor(server: NbdServer, kind: 'unix' | 'tcp'): net.Server {
  let number = 0;
  return net.createServer((socket) => {
    number += 1;
    const peer =
      kind === 'unix' ? `unix#${number}` : `${socket.remoteAddress}:${socket.remotePort}`;
    if (kind === 'tcp') socket.setNoDelay(true);
    void server.serve(readingInto(socket), peer); // It never rejects: one client's end is its own.
  });
}

/** The files of the store; closed before it. */
function mountFiles(store: Store, logger: Logger, undo: (() => Promise<void> | void)[]): FileVerbs {
  const mounts = createMounts(store, { warn: (message) => logger.warn(message) });
  undo.push(() => mounts.close());
  return createFileVerbs(mounts);
}

/** Logs what the store does by itself; answers the jobs that an earlier process had begun. */
function logWork(store: Store, logger: Logger): readonly JobInfo[] {
  store.subscribe((event) => logEvent(logger, event));
  const resumed = store.jobs().filter((job) => job.state === 'running');
  for (const { kind, target } of resumed) logger.info('going on', { job: kind, target });
  return resumed;
}

/** What happened by itself is told at once, and as a warning when somebody should act. */
function logEvent(logger: Logger, { type, reference, detail }: StoreEvent): void {
  const fields = {
    ...(reference === undefined ? {} : { reference }),
    ...(detail === undefined ? {} : { detail }),
  };
  if (type === 'full' || type === 'high-water' || type === 'dropped') logger.warn(type, fields);
  else logger.info(type, fields);
}

/** A connection that could not be accepted is logged; the listener goes on. */
function goOn(server: net.Server, logger: Logger): void {
  server.on('error', (error) => logger.warn('accepting failed', { error: String(error) }));
}

/** Accepts nobody any more; those who are in stay. */
function stopListening(server: net.Server): void {
  server.close();
}

function told(client: ReturnType<NbdServer['clients']>[number]): ServiceClient {
  const { connectedAt, ...rest } = client;
  if (connectedAt === undefined) return rest;
  return { ...rest, connectedAt: new Date(connectedAt).toISOString() };
}

/** Undoes everything, whatever fails on the way; then throws the first failure. */
async function undoAll(
  undo: readonly (() => Promise<void> | void)[],
  logger: Logger,
): Promise<void> {
  const failures: unknown[] = [];
  for (const step of [...undo].reverse()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
      logger.error('stopping failed', { error: String(error) });
    }
  }
  if (failures.length > 0) throw failures[0];
}
