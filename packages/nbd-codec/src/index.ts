/**
 * The NBD protocol as values and bytes, in both directions, without any I/O: what a server and a
 * client share. Every malformed message is a plain value here, so it can be tested as one.
 */
export {
  ALLOCATION,
  CHUNK,
  CHUNK_FLAG,
  COMMAND,
  COMMAND_FLAG,
  HANDSHAKE_FLAG,
  INFO,
  LENGTH,
  MAGIC,
  NBD_ERROR,
  OPTION,
  OPTION_REPLY,
  TRANSMISSION_FLAG,
} from './constants.js';
export type { ClientMessage, ServerMessage } from './handshake.js';
export {
  ClientMessageDecoder,
  encodeClientFlags,
  encodeExportNameReply,
  encodeGreeting,
  encodeOption,
  encodeOptionReply,
  ServerMessageDecoder,
} from './handshake.js';
export type { ExportInfo, InfoRequest, MetaContextRequest } from './option-data.js';
export {
  decodeInfo,
  decodeInfoRequest,
  decodeMetaContext,
  decodeMetaContextRequest,
  decodeServer,
  encodeInfo,
  encodeInfoRequest,
  encodeMetaContext,
  encodeMetaContextRequest,
  encodeServer,
} from './option-data.js';
export type { ProtocolErrorCode } from './protocol-error.js';
export { ProtocolError } from './protocol-error.js';
export type { Cookie, Reply, ReplySink, StatusExtent } from './reply.js';
export {
  encodeBlockStatusChunk,
  encodeErrorChunk,
  encodeHoleChunk,
  encodeNoneChunk,
  putChunk,
  putDataChunk,
  putSimpleReply,
  ReplyDecoder,
} from './reply.js';
export type { RequestHeader, RequestSink } from './request.js';
export { encodeRequest, RequestDecoder } from './request.js';
export { decodeText } from './wire.js';
