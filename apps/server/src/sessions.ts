/**
 * Sessions: the connections of NBD clients, so that those of one export can be ended when its content
 * is about to be another (a forced restore or refresh).
 *
 *   E1  `end` resolves when none of them is in the server's list any more: what they had asked for is
 *       answered or given up, and nothing of theirs reaches the new content.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageError } from '@palimpsest/block-device';

/** How long sessions are given to be gone; the server's own ends need far less. */
const END_MS = 5_000;
const LOOK_MS = 5;

/** A session as the NBD server lists it. */
interface Listed {
  readonly peer: string;
  readonly exportName: string;
}

/** The connections of one server. */
export interface Sessions {
  /** Notes a connection until it closes. */
  begin(peer: string, socket: Socket): void;
  /**
   * Ends the sessions of the exports that `isMeant` (E1).
   * @throws {StorageError} ERR_BUSY when one does not end.
   */
  end(isMeant: (exportName: string) => boolean): Promise<void>;
}

/** Keeps track of connections; `listed` are the sessions that the server has now. */
export function createSessions(listed: () => readonly Listed[]): Sessions {
  const sockets = new Map<string, Socket>();
  return {
    begin(peer, socket) {
      sockets.set(peer, socket);
      socket.once('close', () => sockets.delete(peer));
    },
    async end(isMeant) {
      const meant = (): readonly Listed[] => listed().filter((each) => isMeant(each.exportName));
      for (let waited = 0; ; waited += LOOK_MS) {
        const left = meant();
        if (left.length === 0) return;
        for (const { peer } of left) sockets.get(peer)?.destroy();
        if (waited > END_MS) {
          const peers = left.map((each) => each.peer).join(', ');
          throw new StorageError('ERR_BUSY', `${peers} did not end within ${END_MS} ms; try again`);
        }
        await sleep(LOOK_MS);
      }
    },
  };
}
