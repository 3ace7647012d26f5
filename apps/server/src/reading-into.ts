/**
 * readingInto: an accepted socket, made to read into memory that its server gives it.
 *
 * Node allocates 64 KiB anew for each read of a socket: for a server of block devices most of its time
 * (page faults, and garbage collections for memory outside the heap). `onread` of `node:net` avoids
 * that, but only for sockets that connect: `net.createServer` has no such option in Node 20. So the
 * connection of an accepted socket (`_handle`, which all of Node's own layers pass on like this) is
 * taken over by a socket of our own that has it.
 *
 *   RI1  Where a socket is not as expected it is served as it is: slower, and just as right.
 */
import net from 'node:net';
import type { Connection, OnRead } from '@palimpsest/nbd';

/** What Node's sockets have and its types do not. */
interface Internals {
  _handle?: { readonly useUserBuffer?: unknown } | null;
}

/** The socket to be served, just accepted and not touched yet. */
export function readingInto(accepted: net.Socket): Connection {
  const internals = accepted as unknown as Internals;
  const handle = internals._handle;
  if (typeof handle?.useUserBuffer !== 'function' || accepted.readableLength > 0) return accepted; // RI1
  return (onread: OnRead) => {
    const options = { handle, onread, allowHalfOpen: accepted.allowHalfOpen };
    const socket = new net.Socket(options as net.SocketConstructorOpts);
    internals._handle = null;
    // It still counts among its listener's connections, until it is destroyed.
    socket.once('close', () => accepted.destroy());
    return socket;
  };
}
