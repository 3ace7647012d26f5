/**
 * A client for tests: speaks the protocol through the codec, over an in-memory stream, and can say
 * anything, legal or not.
 */
import { type Duplex, duplexPair } from 'node:stream';
import {
  decodeInfo,
  decodeMetaContext,
  type ExportInfo,
  encodeClientFlags,
  encodeInfoRequest,
  encodeMetaContextRequest,
  encodeOption,
  encodeRequest,
  HANDSHAKE_FLAG,
  OPTION,
  OPTION_REPLY,
  type Reply,
  ReplyDecoder,
  type RequestHeader,
  type ServerMessage,
  ServerMessageDecoder,
} from '@palimpsest/nbd-codec';
import type { Connection, NbdServer } from '../src/index.js';

export const BOTH: number = HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes;

/** What a request came to. */
export interface Answer {
  readonly error: number;
  readonly text: string;
  readonly data: Buffer;
  readonly replies: readonly Reply[];
}

/**
 * A stream that reads into the memory it is given, as a socket with `onread` does. All of the memory is
 * written at once, so that bytes that lie there and are needed still come out wrong.
 */
export function readingInto(stream: Duplex): Connection {
  return ({ buffer, callback }) => {
    const room = () => {
      const memory = buffer();
      if (memory.length === 0) throw new Error('no room was given');
      return memory.fill(0xee);
    };
    let memory = room();
    stream.on('data', (chunk: Buffer) => {
      for (let used = 0; used < chunk.length && !stream.destroyed; ) {
        if (stream.isPaused()) {
          stream.unshift(chunk.subarray(used));
          return;
        }
        const part = chunk.subarray(used, used + memory.length);
        memory.set(part);
        used += part.length;
        callback(part.length);
        memory = room();
      }
    });
    return stream;
  };
}

interface Open {
  readonly data: Buffer;
  readonly offset: number;
  readonly replies: Reply[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class TestClient {
  readonly stream: Duplex;
  /** Resolves when the server has let go of this client. */
  readonly served: Promise<void>;
  /** Resolves when the server has ended the stream. */
  readonly ended: Promise<void>;
  info: ExportInfo[] = [];
  contexts: ReturnType<typeof decodeMetaContext>[] = [];
  readonly #messages: ServerMessage[] = [];
  readonly #decoder = new ServerMessageDecoder({ maxData: 1 << 20 });
  readonly #replies: ReplyDecoder;
  readonly #open = new Map<number, Open>();
  #wake: () => void = () => {};
  #gone = false;
  #transmitting = false;
  #cookie = 0;

  #raw: Buffer | undefined;

  /** @param options.raw take bytes with `rawBytes` instead of messages and answers */
  constructor(server: NbdServer, peer = 'test', options: { raw?: boolean } = {}) {
    if (options.raw) this.#raw = Buffer.alloc(0);
    const [near, far] = duplexPair();
    this.stream = near;
    // As with sockets: when one side is gone, so is the other.
    far.once('close', () => near.destroy());
    near.once('close', () => far.destroy());
    this.served = server.serve(readingInto(far), peer);
    this.#replies = new ReplyDecoder({
      target: (cookie, offset, length) => {
        const open = this.#open.get(cookie.cookieLow);
        if (open === undefined) throw new Error('a reply to nobody');
        if (offset === undefined || length === undefined) return open.data;
        return open.data.subarray(offset - open.offset, offset - open.offset + length);
      },
      reply: (reply) => this.#take(reply),
    });
    this.ended = new Promise((resolve) => {
      const gone = () => {
        this.#gone = true;
        this.#wake();
        for (const open of this.#open.values()) open.reject(new Error('the server hung up'));
        this.#open.clear();
        resolve();
      };
      near.on('end', gone);
      near.on('close', gone);
      near.on('error', gone);
    });
    near.on('data', (chunk: Buffer) => this.#receive(chunk));
  }

  send(...parts: readonly Uint8Array[]): void {
    for (const part of parts) if (this.stream.writable) this.stream.write(part);
  }

  /** The next message of the handshake; undefined when the server has hung up. */
  async message(): Promise<ServerMessage | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined || this.#gone) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The next `length` bytes, or what there is when the server has hung up. */
  async rawBytes(length: number): Promise<Buffer> {
    while ((this.#raw?.length ?? 0) < length && !this.#gone) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#raw?.subarray(0, length) ?? Buffer.alloc(0);
    this.#raw = this.#raw?.subarray(length);
    return bytes;
  }

  /** From the next successful GO on, replies are what is expected. */
  expectTransmission(): void {
    this.#transmitting = true;
  }

  /** Sends an option and collects its replies up to the last one. */
  async option(option: number, data?: Uint8Array): Promise<(ServerMessage & { kind: 'reply' })[]> {
    this.send(encodeOption(option, data));
    const replies: (ServerMessage & { kind: 'reply' })[] = [];
    for (;;) {
      const message = await this.message();
      if (message?.kind !== 'reply') return replies;
      replies.push(message);
      if (message.type === OPTION_REPLY.ack || message.type >= 0x80000000) return replies;
    }
  }

  async greet(flags: number = BOTH): Promise<void> {
    await this.message();
    this.send(encodeClientFlags(flags));
  }

  /** The whole handshake up to GO; returns the type of GO's last reply. */
  async connect(
    name = '',
    {
      structured = true,
      allocation = structured,
      contexts = allocation ? ['base:allocation'] : [],
    }: { structured?: boolean; allocation?: boolean; contexts?: readonly string[] } = {},
  ): Promise<number> {
    await this.greet();
    if (structured) await this.option(OPTION.structuredReply);
    if (contexts.length > 0) {
      const request = encodeMetaContextRequest({ name, queries: contexts });
      const replies = await this.option(OPTION.setMetaContext, request);
      this.contexts = replies
        .filter(({ type }) => type === OPTION_REPLY.metaContext)
        .map(({ data }) => decodeMetaContext(data));
    }
    this.#transmitting = true;
    const replies = await this.option(OPTION.go, encodeInfoRequest({ name, kinds: [3] }));
    this.info = replies.filter((r) => r.type === OPTION_REPLY.info).map((r) => decodeInfo(r.data));
    return replies.at(-1)?.type ?? 0;
  }

  /** Sends a request and waits for its answer. */
  request(header: Partial<RequestHeader>, payload?: Uint8Array): Promise<Answer> {
    this.#cookie += 1;
    const full: RequestHeader = {
      flags: 0,
      type: 0,
      cookieHigh: 0xfedcba98,
      offset: 0,
      length: payload?.length ?? 0,
      ...header,
      cookieLow: this.#cookie,
    };
    const answer = new Promise<Answer>((resolve, reject) => {
      const isRead = full.type === 0 && full.length <= 1 << 27;
      const data = Buffer.alloc(isRead ? full.length : 0, 0xee);
      const open = { data, offset: full.offset, replies: [], resolve, reject };
      if (this.#gone) reject(new Error('the server hung up'));
      else this.#open.set(full.cookieLow, open);
    });
    answer.catch(() => {});
    this.send(encodeRequest(full));
    if (payload !== undefined) this.send(payload);
    return answer;
  }

  /** Says goodbye and waits until the server has let go. */
  async disconnect(): Promise<void> {
    const header = { flags: 0, type: 2, cookieHigh: 0, cookieLow: 0, offset: 0, length: 0 };
    this.send(encodeRequest(header));
    await this.served;
  }

  #receive(chunk: Buffer): void {
    if (this.#raw !== undefined) {
      this.#raw = Buffer.concat([this.#raw, chunk]);
      this.#wake();
      return;
    }
    if (this.#handshakeDone) {
      this.#replies.push(chunk);
      return;
    }
    this.#decoder.push(chunk);
    for (let next = this.#decoder.next(); next !== undefined; next = this.#decoder.next()) {
      this.#messages.push(next);
      if (this.#transmitting && next.kind === 'reply' && next.option === OPTION.go) {
        if (next.type !== OPTION_REPLY.ack) continue;
        this.#handshakeDone = true;
        this.#replies.push(this.#decoder.rest());
        break;
      }
    }
    this.#wake();
  }

  #handshakeDone = false;

  #take(reply: Reply): void {
    const open = this.#open.get(reply.cookieLow);
    if (open === undefined || reply.cookieHigh !== 0xfedcba98) throw new Error('a wrong cookie');
    open.replies.push(reply);
    if (reply.kind !== 'simple' && !reply.done) return;
    this.#open.delete(reply.cookieLow);
    const failed = open.replies.find((r) => r.kind === 'error' || (r.kind === 'simple' && r.error));
    const error = failed?.kind === 'error' || failed?.kind === 'simple' ? failed.error : 0;
    const text = failed?.kind === 'error' ? failed.text : '';
    open.resolve({ error, text, data: open.data, replies: open.replies });
  }
}
