/** What the server asks of a stream beyond Duplex, where it is a network socket. */
import type { Duplex } from 'node:stream';

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
