/** What the server asks of a stream beyond Duplex, where it is a network socket. */
import type { Duplex } from 'node:stream';

/** Where a stream reads into, as the `onread` option of `node:net` has it. */
export interface OnRead {
  /** Memory for the bytes to come: asked for at the start, and again after each `callback`. */
  buffer(): Uint8Array;
  /** So many bytes are there. Never called while the stream is paused. */
  callback(bytes: number): boolean;
}

/**
 * A client's bytes, both ways: a stream; or who makes one that reads into the memory it is given and
 * emits no 'data', which saves an allocation and a copy for all that comes.
 */
export type Connection = Duplex | ((onRead: OnRead) => Duplex);

/** Answers leave at once (no Nagle), and a peer that vanished without a word is noticed. */
export function tune(stream: Duplex): void {
  const socket = stream as Duplex & {
    setNoDelay?: (on: boolean) => unknown;
    setKeepAlive?: (on: boolean, ms: number) => unknown;
  };
  socket.setNoDelay?.(true);
  socket.setKeepAlive?.(true, 60_000);
}

/** Lets the event loop do its other work: large requests on fast devices call it between pieces. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
