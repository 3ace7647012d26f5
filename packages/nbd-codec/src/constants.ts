/**
 * Every number of the NBD protocol that this project speaks, under the names of its text
 * (NetworkBlockDevice/nbd, doc/proto.md). Where the reference server's header disagrees with the
 * text (BLOCK_STATUS chunks), the text and all clients in use are followed.
 */

/** Magic numbers of 32 bits, and the 64-bit ones as two halves: no bigint on a hot path. */
export const MAGIC = {
  /** "NBDMAGIC", first half and second half. */
  greetingHigh: 0x4e42444d,
  greetingLow: 0x41474943,
  /** "IHAVEOPT": in the greeting, and before every option. */
  optionHigh: 0x49484156,
  optionLow: 0x454f5054,
  /** 0x0003e889045565a9: before every reply to an option. */
  optionReplyHigh: 0x0003e889,
  optionReplyLow: 0x045565a9,
  request: 0x25609513,
  simpleReply: 0x67446698,
  chunk: 0x668e33ef,
} as const;

/** Handshake flags: the server's in the greeting, the client's in its answer. */
export const HANDSHAKE_FLAG = { fixedNewstyle: 1, noZeroes: 2 } as const;

/** Options a client may send. */
export const OPTION = {
  exportName: 1,
  abort: 2,
  list: 3,
  peekExport: 4,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
} as const;

/** Types of replies to options; those from 2^31 on are errors. */
export const OPTION_REPLY = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  errUnsup: 0x80000001,
  errPolicy: 0x80000002,
  errInvalid: 0x80000003,
  errPlatform: 0x80000004,
  errTlsReqd: 0x80000005,
  errUnknown: 0x80000006,
  errShutdown: 0x80000007,
  errBlockSizeReqd: 0x80000008,
  errTooBig: 0x80000009,
  errExtHeaderReqd: 0x8000000a,
} as const;

/** Kinds of information in answer to INFO and GO. */
export const INFO = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

/** What an export can do, as announced at the end of the handshake: bits 0 to 11. */
export const TRANSMISSION_FLAG = {
  hasFlags: 1,
  readOnly: 2,
  sendFlush: 4,
  sendFua: 8,
  rotational: 16,
  sendTrim: 32,
  sendWriteZeroes: 64,
  sendDf: 128,
  canMultiConn: 256,
  sendResize: 512,
  sendCache: 1024,
  sendFastZero: 2048,
} as const;

/** Commands of the transmission phase. */
export const COMMAND = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

/** Flags of a command. FUA is accepted on every command, even where it means nothing. */
export const COMMAND_FLAG = {
  fua: 1,
  noHole: 2,
  df: 4,
  reqOne: 8,
  fastZero: 16,
} as const;

/** Flags of a structured reply's chunk. */
export const CHUNK_FLAG = { done: 1 } as const;

/** Types of a structured reply's chunk; those from 2^15 on are errors. */
export const CHUNK = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** The only errors that may appear on the wire. */
export const NBD_ERROR = {
  ok: 0,
  eperm: 1,
  eio: 5,
  enomem: 12,
  einval: 22,
  enospc: 28,
  eoverflow: 75,
  enotsup: 95,
  eshutdown: 108,
} as const;

/** Status flags of the metadata context `base:allocation`. */
export const ALLOCATION = { hole: 1, zero: 2 } as const;

/** Fixed lengths, in bytes. */
export const LENGTH = {
  greeting: 18,
  clientFlags: 4,
  optionHeader: 16,
  optionReplyHeader: 20,
  exportNameReply: 10,
  exportNamePadding: 124,
  request: 28,
  simpleReply: 16,
  chunk: 20,
  /** What precedes the data in an OFFSET_DATA chunk, header included. */
  dataChunk: 28,
  /** The longest name, description or error text (proto.md, "String values"). */
  string: 4096,
} as const;
