/** Every limit of the server, with its reason. Bytes and milliseconds. */
export interface NbdLimits {
  /** From the first byte to GO. Longer is a port scanner, or a client that hangs. @default 10 s */
  readonly handshakeMs: number;
  /** A peer that takes none of its replies, or sends none of its payload. @default 30 s */
  readonly stallMs: number;
  /** What `close` and `disconnect` allow sessions to finish in. @default 4.5 s, to end within 5 */
  readonly graceMs: number;
  /** Open connections; more are closed at once. @default 100 */
  readonly maxConnections: number;
  /** Connections in their handshake; more wait for a place, unanswered. @default 16 */
  readonly maxHandshakes: number;
  /** Connections to one export name; more are refused with ERR_POLICY. @default 16 */
  readonly maxPerExport: number;
  /** Options in one handshake; LIST adds two for each name it told. @default 32 */
  readonly maxOptions: number;
  /** Data of an option: a name and 14 queries at their longest. Longer: TOO_BIG. @default 64 KiB */
  readonly maxOptionBytes: number;
  /** Data of an option that is passed over; longer ends the connection. @default 1 MiB */
  readonly maxSkippedBytes: number;
  /** Queries in one metadata context option. @default 64 */
  readonly maxQueries: number;
  /** Requests of one client under way; then it is not read from. @default 128 */
  readonly maxRequests: number;
  /** Bytes that one client's requests hold; then it is not read from. @default 64 MiB */
  readonly maxClientBytes: number;
  /**
   * Bytes that all requests hold; then only clients that hold nothing get on, one request (or one
   * mebibyte of it) each, so no client can starve the others. @default 256 MiB
   */
  readonly maxServerBytes: number;
  /**
   * Payload of one request. Twice what is announced, because clients are in use that go beyond it.
   * A longer write ends the connection; a longer read is refused. @default 64 MiB
   */
  readonly maxPayload: number;
}

const MIB = 1 << 20;

/** The limits that hold when nothing else is said. */
export const DEFAULT_LIMITS: NbdLimits = {
  handshakeMs: 10_000,
  stallMs: 30_000,
  graceMs: 4_500,
  maxConnections: 100,
  maxHandshakes: 16,
  maxPerExport: 16,
  maxOptions: 32,
  maxOptionBytes: 65_536,
  maxSkippedBytes: MIB,
  maxQueries: 64,
  maxRequests: 128,
  maxClientBytes: 64 * MIB,
  maxServerBytes: 256 * MIB,
  maxPayload: 64 * MIB,
};

/** The maximum payload announced to clients: what every server of the protocol takes. */
export const ANNOUNCED_PAYLOAD: number = 32 * MIB;
