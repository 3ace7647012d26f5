/** Text that people paste into a shell: quoted where it must be, short where it can be. */
import path from 'node:path';
import type { Terminal } from './terminal.js';

/** The store that commands use when none is named. */
export const DEFAULT_STORE = 'palimpsest-store';

/** A word for a POSIX shell, quoted only when it has to be. */
export function shellWord(text: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A file as it is best named from `cwd`: relative inside it, else absolute. */
export function shortPath(cwd: string, file: string): string {
  const relative = path.relative(cwd, file);
  return relative === '' || relative.startsWith('..') || path.isAbsolute(relative)
    ? file
    : relative;
}

/** The --store option that a pasted command needs; empty when the default means the same store. */
export function storeOption(terminal: Terminal, directory: string): string {
  if (path.resolve(terminal.cwd, DEFAULT_STORE) === directory) return '';
  return ` --store ${shellWord(shortPath(terminal.cwd, directory))}`;
}

/** The NBD address of an export (of none: of the server) on a Unix socket. */
export function unixUri(socket: string, name = ''): string {
  return `nbd+unix:///${encodeURI(name)}?socket=${encodeURI(socket)}`;
}

/** The NBD address of an export on TCP. */
export function tcpUri(
  where: { readonly host: string; readonly port: number },
  name: string,
): string {
  const host = where.host.includes(':') ? `[${where.host}]` : where.host;
  return `nbd://${host}:${where.port}/${encodeURI(name)}`;
}
