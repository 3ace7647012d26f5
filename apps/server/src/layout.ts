/** Where a daemon's things are in a store's directory. */
import path from 'node:path';

/** The socket of the control API. */
export function controlSocketPath(directory: string): string {
  return path.join(directory, 'control.sock');
}

/** The socket of NBD clients. */
export function nbdSocketPath(directory: string): string {
  return path.join(directory, 'nbd.sock');
}

/** The secret that lets a program use the control API. */
export function tokenPath(directory: string): string {
  return path.join(directory, 'token');
}
