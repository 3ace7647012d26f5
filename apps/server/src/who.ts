/** Who uses a store, for its log: the user of this machine, and what they use. */
import { userInfo } from 'node:os';

/** `alice@cli`. A user without a name is told by number. */
export function who(program: string): string {
  return `${userName()}@${program}`;
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    // A process may run under a number that no user database knows, as in a container.
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
