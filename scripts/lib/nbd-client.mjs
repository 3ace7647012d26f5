/**
 * A small NBD client for the harnesses: fixed newstyle, simple replies, many requests in flight. It
 * shares no code with the server's codec on purpose: two readings of the protocol that agree are
 * worth more than one. Byte layout: the NBD project's proto.md; all integers are big-endian.
 */
import { connect } from 'node:net';

const NBDMAGIC = 0x4e42444d41474943n;
const IHAVEOPT = 0x49484156454f5054n;
const OPTION_REPLY = 0x3e889045565a9n;
const REQUEST = 0x25609513;
const SIMPLE_REPLY = 0x67446698;
const OPT_GO = 7;
const REP_ACK = 1;
const REP_INFO = 3;
const COMMANDS = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 };
const FLAG_FUA = 1;

/** An error the server answered; `errno` is the number on the wire. */
export class NbdRefusal extends Error {
  constructor(command, errno) {
    super(`server answered error ${errno} to ${command}`);
    this.name = 'NbdRefusal';
    this.errno = errno;
  }
}

/** The connection ended while answers were due: their outcome is unknown. */
export class NbdGone extends Error {
  constructor(cause) {
    super('the connection ended', { cause });
    this.name = 'NbdGone';
  }
}

/**
 * Connects to a Unix socket and opens an export.
 * @param {string} socketPath
 * @param {string} exportName
 * @returns {Promise<NbdClient>}
 */
export async function connectNbd(socketPath, exportName) {
  const client = new NbdClient(connect(socketPath));
  await client.handshake(exportName);
  return client;
}

/** One connection. Every method may be called while earlier calls are unanswered. */
export class NbdClient {
  /** Bytes in the export. */
  size = 0;
  readOnly = false;
  #socket;
  #received = [];
  #available = 0;
  #wanted;
  #pending = new Map();
  #cookie = 1n;
  #gone;

  constructor(socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      this.#received.push(bytes);
      this.#available += bytes.length;
      this.#wake();
    });
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end());
  }

  /** Negotiates the export. Throws NbdRefusal when the server does not have it. */
  async handshake(exportName) {
    const greeting = await this.#take(18);
    if (greeting.readBigUInt64BE(0) !== NBDMAGIC || greeting.readBigUInt64BE(8) !== IHAVEOPT) {
      throw new Error('not an NBD server');
    }
    const name = Buffer.from(exportName);
    const go = Buffer.alloc(4 + 16 + 4 + name.length + 2);
    go.writeUInt32BE(3, 0); // fixed newstyle, no zeroes
    go.writeBigUInt64BE(IHAVEOPT, 4);
    go.writeUInt32BE(OPT_GO, 12);
    go.writeUInt32BE(4 + name.length + 2, 16);
    go.writeUInt32BE(name.length, 20);
    name.copy(go, 24);
    this.#socket.write(go);
    for (;;) {
      const reply = await this.#take(20);
      if (reply.readBigUInt64BE(0) !== OPTION_REPLY) throw new Error('bad option reply');
      const type = reply.readUInt32BE(12);
      const data = await this.#take(reply.readUInt32BE(16));
      if (type === REP_ACK) break;
      if (type === REP_INFO && data.readUInt16BE(0) === 0) {
        this.size = Number(data.readBigUInt64BE(2));
        this.readOnly = (data.readUInt16BE(10) & 2) !== 0;
      } else if (type >= 2 ** 31) {
        this.#socket.destroy();
        throw new NbdRefusal(`GO ${exportName}: ${data.toString()}`, type - 2 ** 31);
      }
    }
    this.#readReplies().catch((error) => this.#end(error));
  }

  read(position, length) {
    return this.#request('read', position, length);
  }

  write(position, bytes, { fua = false } = {}) {
    return this.#request('write', position, bytes.length, bytes, fua ? FLAG_FUA : 0);
  }

  writeZeroes(position, length, { fua = false } = {}) {
    return this.#request('writeZeroes', position, length, undefined, fua ? FLAG_FUA : 0);
  }

  trim(position, length) {
    return this.#request('trim', position, length);
  }

  flush() {
    return this.#request('flush', 0, 0);
  }

  /** Ends the session in order; resolves when the socket is closed. */
  async close() {
    if (this.#gone !== undefined) return;
    const closed = new Promise((resolve) => this.#socket.once('close', resolve));
    this.#socket.write(header(COMMANDS.disconnect, 0, 0n, 0, 0));
    this.#socket.end();
    await closed;
  }

  /** Drops the connection at once. */
  destroy() {
    this.#socket.destroy();
  }

  #request(command, position, length, payload, flags = 0) {
    if (this.#gone !== undefined) return Promise.reject(new NbdGone(this.#gone.cause));
    const cookie = this.#cookie++;
    return new Promise((resolve, reject) => {
      this.#pending.set(cookie, { command, length, resolve, reject });
      this.#socket.cork();
      this.#socket.write(header(COMMANDS[command], flags, cookie, position, length));
      if (payload !== undefined) this.#socket.write(payload);
      this.#socket.uncork();
    });
  }

  async #readReplies() {
    for (;;) {
      const reply = await this.#take(16);
      if (reply.readUInt32BE(0) !== SIMPLE_REPLY) throw new Error('bad reply magic');
      const errno = reply.readUInt32BE(4);
      const cookie = reply.readBigUInt64BE(8);
      const request = this.#pending.get(cookie);
      if (request === undefined) throw new Error(`reply to an unknown cookie ${cookie}`);
      const data =
        request.command === 'read' && errno === 0 ? await this.#take(request.length) : undefined;
      this.#pending.delete(cookie);
      if (errno === 0) request.resolve(data);
      else request.reject(new NbdRefusal(request.command, errno));
    }
  }

  /** The next `length` bytes of the stream. One taker at a time. */
  async #take(length) {
    while (this.#available < length) {
      if (this.#gone !== undefined) throw new NbdGone(this.#gone.cause);
      await new Promise((resolve) => {
        this.#wanted = resolve;
      });
    }
    this.#available -= length;
    const parts = [];
    for (let missing = length; missing > 0; ) {
      const first = this.#received.shift();
      parts.push(first.subarray(0, missing));
      if (first.length > missing) this.#received.unshift(first.subarray(missing));
      missing -= Math.min(missing, first.length);
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  #wake() {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.();
  }

  #end(cause) {
    if (this.#gone !== undefined) return;
    this.#gone = { cause };
    this.#socket.destroy();
    for (const { reject } of this.#pending.values()) reject(new NbdGone(cause));
    this.#pending.clear();
    this.#wake();
  }
}

/** The 28 bytes of a request. */
function header(command, flags, cookie, position, length) {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(REQUEST, 0);
  bytes.writeUInt16BE(flags, 4);
  bytes.writeUInt16BE(command, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeBigUInt64BE(BigInt(position), 16);
  bytes.writeUInt32BE(length, 24);
  return bytes;
}
