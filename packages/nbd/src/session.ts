/**
 * Session: one client from its first byte to its last. Here is the handshake; what follows GO is
 * Transmission's.
 *   N1  Options are answered one at a time, in order; the stream is not read meanwhile.
 *   N2  A device is opened at GO, EXPORT_NAME or a question about it, and every open is released
 *       exactly once, after the last request on it has ended.
 *   N3  Whatever a client sends, `run` resolves; it never rejects.
 *   N4  An export that may not be opened looks like one that does not exist.
 *   N5  Whoever has an export open, be it for one question in a handshake, is told of by `leave`. Who
 *       still waits for the catalog has nothing yet, and will get what the catalog has then.
 */
import type { Duplex } from 'node:stream';
import {
  type ClientMessage,
  ClientMessageDecoder,
  decodeInfoRequest,
  decodeMetaContextRequest,
  decodeText,
  encodeExportNameReply,
  encodeGreeting,
  encodeInfo,
  encodeMetaContext,
  encodeOptionReply,
  encodeServer,
  HANDSHAKE_FLAG,
  INFO,
  type InfoRequest,
  LENGTH,
  OPTION,
  OPTION_REPLY,
  ProtocolError,
  TRANSMISSION_FLAG,
} from '@palimpsest/nbd-codec';
import type { ExportCatalog, NbdExport, Timers } from './catalog.js';
import { Inbox } from './inbox.js';
import { ANNOUNCED_PAYLOAD } from './limits.js';
import {
  type AgreedContext,
  agreedContexts,
  allocationContext,
  type MetaContext,
  namesChosen,
  namesListed,
} from './meta-contexts.js';
import type { Connection } from './stream.js';
import { type Shared, Transmission } from './transmission.js';

const FLAGS = TRANSMISSION_FLAG;

/** What the server lends a session. */
export interface SessionHost extends Shared {
  readonly catalog: ExportCatalog;
  readonly timers: Timers;
  readonly now: (() => number) | undefined;
  /** How many sessions have the export open. */
  sessionsOf(exportName: string): number;
  /** The handshake is over, well or not: its place is free for the next client. */
  handshakeOver(session: Session): void;
}

/** A session on its way out of an export. */
export interface Leaving {
  /** Resolves when it has released the export. */
  readonly left: Promise<void>;
  /** False when it only had a question. */
  readonly isClient: boolean;
}

/** See the header of this file. */
export class Session {
  readonly peer: string;
  /** Set once the client has chosen. */
  exportName: string | undefined;
  readonly connectedAt: number | undefined;
  /** Paused until `run`, where it reads into memory of its own. */
  readonly stream: Duplex;
  readonly #inbox: Inbox;
  readonly #readsOwnMemory: boolean = false;
  readonly #host: SessionHost;
  readonly #decoder: ClientMessageDecoder;
  readonly #resolveDone: () => void;
  /** Resolves when the stream is gone, all requests have ended and the export is released. */
  readonly done: Promise<void>;
  #phase: 'handshake' | 'transmission' | 'over' = 'handshake';
  #answering = false;
  #noZeroes = false;
  #structured = false;
  #contexts: { readonly name: string; readonly chosen: readonly string[] } | undefined;
  /** What is open for the option that is being answered. */
  #briefly: { readonly name: string; readonly released: Promise<void> } | undefined;
  #options = 0;
  #allowance: number;
  #shuttingDown: string | undefined;
  #closed = false;
  #opened: NbdExport | undefined;
  #transmission: Transmission | undefined;
  #timer: unknown;

  /** @param connection where the client's bytes come from and go to */
  constructor(connection: Connection, peer: string, host: SessionHost) {
    this.#inbox = new Inbox(host.pool);
    if (typeof connection !== 'function') this.stream = connection;
    else {
      this.#readsOwnMemory = true;
      this.stream = connection({
        buffer: () => this.#inbox.room(this.#transmission?.needed ?? 0),
        callback: (bytes) => this.#arrived(bytes),
      });
      this.stream.pause();
    }
    this.peer = peer;
    this.#host = host;
    this.connectedAt = host.now?.();
    const { maxOptionBytes, maxSkippedBytes, maxOptions } = host.limits;
    this.#decoder = new ClientMessageDecoder({ maxData: maxOptionBytes, maxSkip: maxSkippedBytes });
    this.#allowance = maxOptions;
    let resolveDone = () => {};
    this.done = new Promise((resolve) => {
      resolveDone = resolve;
    });
    this.#resolveDone = resolveDone;
  }

  /** The transmission phase, once it has begun. */
  get transmission(): Transmission | undefined {
    return this.#transmission;
  }

  /** Greets the client and serves it until it is gone (N3). */
  run(): Promise<void> {
    const { timers, limits } = this.#host;
    this.#timer = timers.set(() => {
      this.#host.logger.warn('a client did not finish its handshake in time', { peer: this.peer });
      this.stream.destroy();
    }, limits.handshakeMs);
    const stream = this.stream;
    if (!this.#readsOwnMemory) stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('end', () => this.#inputEnded());
    stream.on('error', (error) => {
      // Who leaves before it has said anything was only looking whether somebody listens.
      if (this.#transmission === undefined) return;
      this.#host.logger.info('a connection broke', { peer: this.peer, error: error.message });
    });
    stream.on('close', () => this.#streamClosed());
    this.#send(encodeGreeting(HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes));
    stream.resume();
    return this.done;
  }

  /** Ends the session in order: what is under way is finished and flushed, what is new refused. */
  shutDown(reason: string): void {
    this.#shuttingDown = reason;
    if (this.#transmission !== undefined) this.#transmission.drain(reason);
    else if (!this.#answering) this.destroy();
  }

  /** Lets go of an export (N5): in order, or after the answer to a question about it. */
  leave(matches: (exportName: string) => boolean, reason: string): Leaving | undefined {
    const { exportName } = this;
    if (exportName !== undefined && matches(exportName)) {
      this.shutDown(reason);
      return { left: this.done, isClient: true };
    }
    const briefly = this.#briefly;
    if (briefly === undefined || !matches(briefly.name)) return undefined;
    return { left: briefly.released, isClient: false };
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.stream.destroy();
  }

  /** Bytes have come into the inbox. */
  #arrived(count: number): boolean {
    const inbox = this.#inbox;
    inbox.filled(count);
    if (this.#transmission !== undefined) this.#transmission.arrived();
    else {
      const { bytes } = inbox;
      inbox.use(inbox.length); // the requests behind the handshake come from its decoder, not from here
      this.#receive(bytes);
    }
    return true;
  }

  /** The handshake's decoder copies what it keeps. */
  #receive(chunk: Buffer): void {
    if (this.#phase === 'transmission') {
      this.#transmission?.receive(chunk);
      return;
    }
    if (this.#phase === 'over') return;
    this.#decoder.push(chunk);
    if (!this.#answering) void this.#answerAll();
  }

  #inputEnded(): void {
    if (this.#transmission !== undefined) this.#transmission.endOfInput();
    else this.stream.destroy();
  }

  #streamClosed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox.close();
    this.#handshakeOver();
    if (this.#transmission !== undefined) this.#transmission.streamClosed();
    else if (!this.#answering) void this.#release();
  }

  #handshakeOver(): void {
    this.#host.timers.clear(this.#timer);
    this.#host.handshakeOver(this);
  }

  /** The transmission has ended, or there never was one (N2). */
  async #release(): Promise<void> {
    this.#phase = 'over';
    const opened = this.#opened;
    this.#opened = undefined;
    if (opened !== undefined) await this.#releaseExport(opened);
    this.exportName = undefined;
    this.#resolveDone();
  }

  async #releaseExport(opened: NbdExport): Promise<void> {
    try {
      await opened.release();
    } catch (error) {
      this.#host.logger.error('an export could not be released', { error });
    }
  }

  #send(bytes: Uint8Array): void {
    if (!this.#closed && this.stream.writable) this.stream.write(bytes);
  }

  #reply(option: number, type: number, data: Uint8Array | string = ''): void {
    this.#send(encodeOptionReply(option, type, data));
  }

  // ---- the handshake

  /** Answers every message that has arrived (N1). */
  async #answerAll(): Promise<void> {
    this.#answering = true;
    this.stream.pause();
    try {
      while (this.#phase === 'handshake' && !this.#closed) {
        const message = this.#decoder.next();
        if (message === undefined) break;
        await this.#answer(message);
      }
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#host.logger.warn('a client broke the protocol', {
          peer: this.peer,
          code: error.code,
        });
      } else {
        this.#host.logger.error('a handshake failed', { peer: this.peer, error });
      }
      this.stream.destroy();
    }
    this.#answering = false;
    if (this.#closed && this.#transmission === undefined) await this.#release();
    else if (this.#shuttingDown !== undefined) this.shutDown(this.#shuttingDown);
    if (this.#transmission?.blocked !== true) this.stream.resume();
  }

  async #answer(message: ClientMessage): Promise<void> {
    if (message.kind === 'flags') {
      const known = HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes;
      if ((message.flags & ~known) !== 0) {
        throw new ProtocolError('ERR_VALUE', 'the client set flags that were not offered');
      }
      this.#noZeroes = (message.flags & HANDSHAKE_FLAG.noZeroes) !== 0;
      return;
    }
    this.#options += 1;
    if (this.#options > this.#allowance) {
      throw new ProtocolError('ERR_LIMIT', `more than ${this.#allowance} options`);
    }
    const { option } = message;
    if (this.#shuttingDown !== undefined && option !== OPTION.abort) {
      if (option === OPTION.exportName) this.stream.destroy();
      else this.#reply(option, OPTION_REPLY.errShutdown, 'the server is shutting down');
      return;
    }
    if (message.kind === 'oversize') {
      if (option === OPTION.exportName) this.stream.destroy();
      else this.#reply(option, OPTION_REPLY.errTooBig, 'the option is too long');
      return;
    }
    await this.#answerOption(option, message.data);
  }

  async #answerOption(option: number, data: Uint8Array): Promise<void> {
    switch (option) {
      case OPTION.exportName:
        return this.#exportName(data);
      case OPTION.abort:
        this.#reply(option, OPTION_REPLY.ack);
        this.#phase = 'over';
        this.stream.end(() => this.stream.destroy());
        return;
      case OPTION.list:
        return this.#list(data);
      case OPTION.startTls:
        if (data.length > 0) this.#reply(option, OPTION_REPLY.errInvalid, NO_DATA);
        else this.#reply(option, OPTION_REPLY.errUnsup, 'TLS is not available here');
        return;
      case OPTION.info:
      case OPTION.go:
        return this.#infoOrGo(option, data);
      case OPTION.structuredReply:
        if (data.length > 0) this.#reply(option, OPTION_REPLY.errInvalid, NO_DATA);
        else {
          this.#structured = true;
          this.#reply(option, OPTION_REPLY.ack);
        }
        return;
      case OPTION.listMetaContext:
      case OPTION.setMetaContext:
        return this.#metaContext(option, data);
      default:
        this.#reply(option, OPTION_REPLY.errUnsup, 'the option is not known');
    }
  }

  async #exportName(data: Uint8Array): Promise<void> {
    // This option has no way to say no but to hang up.
    if (data.length > LENGTH.string) throw new ProtocolError('ERR_LIMIT', 'a name is too long');
    const name = decodeText(data);
    if (this.#refusalFor(name)) {
      this.stream.destroy();
      return;
    }
    await this.#opening(name, (opened) => {
      const contexts = opened === undefined ? undefined : this.#agreed(name, opened);
      if (opened === undefined || contexts === undefined) {
        this.stream.destroy();
        return false;
      }
      const { size } = opened.device;
      this.#send(encodeExportNameReply(size, this.#flagsOf(opened), this.#noZeroes));
      return this.#transmit(name, opened, contexts);
    });
  }

  async #list(data: Uint8Array): Promise<void> {
    if (data.length > 0) {
      this.#reply(OPTION.list, OPTION_REPLY.errInvalid, NO_DATA);
      return;
    }
    const entries = await this.#attempt(() => this.#host.catalog.list());
    if (entries === undefined) {
      this.#reply(OPTION.list, OPTION_REPLY.errPlatform, 'the exports cannot be listed now');
      return;
    }
    this.#allowance += 2 * entries.length;
    const replies = entries.map(({ name, description }) =>
      encodeOptionReply(OPTION.list, OPTION_REPLY.server, encodeServer(name, description ?? '')),
    );
    replies.push(encodeOptionReply(OPTION.list, OPTION_REPLY.ack));
    this.#send(Buffer.concat(replies));
  }

  async #infoOrGo(option: number, data: Uint8Array): Promise<void> {
    const request = this.#decode(option, () => decodeInfoRequest(data));
    if (request === undefined) return;
    const { name } = request;
    if (option === OPTION.go && this.#refusalFor(name)) {
      this.#reply(option, OPTION_REPLY.errPolicy, 'the export has too many clients');
      return;
    }
    await this.#opening(name, (opened) => {
      if (opened === undefined) {
        this.#reply(option, OPTION_REPLY.errUnknown, NO_EXPORT);
        return false;
      }
      if (option === OPTION.info) {
        this.#tell(option, request, opened);
        return false;
      }
      const contexts = this.#agreed(name, opened);
      if (contexts === undefined) {
        this.#reply(option, OPTION_REPLY.errUnknown, CONTEXT_GONE);
        return false;
      }
      this.#tell(option, request, opened);
      return this.#transmit(name, opened, contexts);
    });
  }

  /** Answers INFO and GO. */
  #tell(option: number, { name, kinds }: InfoRequest, opened: NbdExport): void {
    const { device, description } = opened;
    const info = (about: Parameters<typeof encodeInfo>[0]) =>
      this.#reply(option, OPTION_REPLY.info, encodeInfo(about));
    info({ kind: 'export', size: device.size, flags: this.#flagsOf(opened) });
    if (kinds.includes(INFO.name)) info({ kind: 'name', name });
    if (kinds.includes(INFO.description) && description !== undefined) {
      info({ kind: 'description', description });
    }
    const preferred = Math.max(512, device.blockSize);
    info({ kind: 'blockSize', minimum: 1, preferred, maximum: ANNOUNCED_PAYLOAD });
    this.#reply(option, OPTION_REPLY.ack);
  }

  async #metaContext(option: number, data: Uint8Array): Promise<void> {
    const set = option === OPTION.setMetaContext;
    // Whatever comes of it, what was set before holds no longer.
    if (set) this.#contexts = undefined;
    const { maxQueries } = this.#host.limits;
    const request = this.#decode(option, () => decodeMetaContextRequest(data, maxQueries));
    if (request === undefined) return;
    if (set && !this.#structured) {
      this.#reply(option, OPTION_REPLY.errInvalid, 'structured replies must be agreed on first');
      return;
    }
    const { name, queries } = request;
    await this.#opening(name, (opened) => {
      if (opened === undefined) {
        this.#reply(option, OPTION_REPLY.errUnknown, NO_EXPORT);
        return false;
      }
      const offer = offerOf(opened, set ? queries : undefined);
      const names = set ? namesChosen(offer, queries) : namesListed(offer, queries);
      const replies = names.map((context, index) => {
        const data = encodeMetaContext(set ? index + 1 : 0, context); // X2
        return encodeOptionReply(option, OPTION_REPLY.metaContext, data);
      });
      if (set) this.#contexts = { name, chosen: names };
      this.#send(Buffer.concat([...replies, encodeOptionReply(option, OPTION_REPLY.ack)]));
      return false;
    });
  }

  /** The contexts chosen for `name`, as this opening of it has them; undefined: one is gone (X3). */
  #agreed(name: string, opened: NbdExport): readonly AgreedContext[] | undefined {
    const chosen = this.#contexts?.name === name ? this.#contexts.chosen : [];
    return agreedContexts(offerOf(opened, chosen), chosen);
  }

  /** Decodes an option's data; what is not well formed is answered here. */
  #decode<T>(option: number, decode: () => T): T | undefined {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const type = error.code === 'ERR_LIMIT' ? OPTION_REPLY.errTooBig : OPTION_REPLY.errInvalid;
      this.#reply(option, type, 'the option is not well formed');
      return undefined;
    }
  }

  #refusalFor(name: string): boolean {
    return this.#host.sessionsOf(name) >= this.#host.limits.maxPerExport;
  }

  /** Opens an export. Unless `work` keeps it, by answering true, it is released again (N2, N5). */
  async #opening(name: string, work: (opened: NbdExport | undefined) => boolean): Promise<void> {
    const opened = await this.#attempt(() => this.#host.catalog.open(name));
    let kept = false;
    try {
      kept = work(opened);
    } finally {
      if (opened !== undefined && !kept) {
        const released = this.#releaseExport(opened);
        this.#briefly = { name, released };
        await released;
        this.#briefly = undefined;
      }
    }
  }

  /** Asks the catalog; its failures are for the log, the client learns no more than "no" (N4). */
  async #attempt<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (error) {
      this.#host.logger.warn('the catalog failed', { peer: this.peer, error });
      return undefined;
    }
  }

  #flagsOf(opened: NbdExport): number {
    const changes = FLAGS.sendTrim | FLAGS.sendWriteZeroes | FLAGS.sendFastZero;
    return (
      FLAGS.hasFlags |
      FLAGS.sendFlush |
      FLAGS.sendFua |
      FLAGS.canMultiConn |
      FLAGS.sendCache |
      (this.#structured ? FLAGS.sendDf : 0) |
      (opened.device.readOnly ? FLAGS.readOnly : changes)
    );
  }

  /** Begins the transmission. False, and the export not kept, when the stream is gone. */
  #transmit(name: string, opened: NbdExport, contexts: readonly AgreedContext[]): boolean {
    if (this.#closed) return false;
    const { device } = opened;
    this.#phase = 'transmission';
    this.#opened = opened;
    this.exportName = name;
    const agreed = {
      device,
      readOnly: device.readOnly,
      size: device.size,
      structured: this.#structured,
      contexts,
    };
    this.#transmission = new Transmission(this.stream, this.#host, agreed, this.#inbox, () => {
      void this.#release();
    });
    this.#handshakeOver();
    const { logger } = this.#host;
    logger.info('a client has connected', { peer: this.peer, exportName: name });
    const rest = this.#decoder.rest();
    if (rest.length > 0) this.#transmission.receive(Buffer.from(rest.buffer, 0, rest.length));
    return true;
  }
}

/** `base:allocation`, then what the catalog adds, if that is wanted: it may be a long list. */
function offerOf(opened: NbdExport, wanted?: readonly string[]): readonly MetaContext[] {
  const own = allocationContext(opened.device);
  if (wanted?.every((name) => name === own.name) === true) return [own];
  return [own, ...(opened.contexts?.() ?? [])];
}

const NO_DATA = 'the option takes no data';
const NO_EXPORT = 'there is no such export';
const CONTEXT_GONE = 'a metadata context that was chosen is gone: list and choose again';
