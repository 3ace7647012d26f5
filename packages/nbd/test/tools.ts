/**
 * Real clients for tests: finds the tools, runs them, and offers a server on a Unix socket. A test
 * whose tool is missing is skipped loudly, and fails where CI is set: there nothing may be missing.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockDevice } from '@palimpsest/block-device';
import {
  createNbdServer,
  type MetaContext,
  type NbdServer,
  type NbdServerOptions,
} from '../src/index.js';

/** The Debian package of each tool, for the message of the one who has to install it. */
const PACKAGES: Readonly<Record<string, string>> = {
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdsh: 'python3-libnbd',
  'qemu-img': 'qemu-utils',
  'qemu-io': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  nbdkit: 'nbdkit',
  fio: 'fio',
};

/** Tells whether all `tools` are there; warns when not, and throws when CI is set. */
export function haveTools(...tools: readonly string[]): boolean {
  const missing = tools.filter((tool) => spawnSync('which', [tool]).status !== 0);
  if (missing.length === 0) return true;
  const message = missing.map((tool) => `${tool} (package ${PACKAGES[tool] ?? tool})`).join(', ');
  if (process.env.CI) throw new Error(`missing tools: ${message}`);
  console.warn(`SKIPPED, missing tools: ${message}`);
  return false;
}

/** How a command ended. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, at most `timeoutMs`. */
export function run(
  command: string,
  args: readonly string[],
  timeoutMs = 50_000,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      // nbdsh needs the system's Python, whatever other one may come first.
      env: { ...process.env, PATH: `/usr/bin:${process.env.PATH}` },
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({
        status,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      });
    });
  });
}

/** Runs a command that must succeed; returns what it printed. */
export async function runOk(command: string, args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(command, args);
  if (status !== 0) {
    throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  }
  return stdout;
}

/** A server on a Unix socket in a directory of its own. */
export interface Listening extends AsyncDisposable {
  readonly server: NbdServer;
  readonly socket: string;
  /** A directory that lives as long. */
  readonly directory: string;
  /** The address of an export, as libnbd, qemu and fio spell it. */
  uri(exportName?: string): string;
  /** Opens minus releases, by export name. */
  readonly leases: ReadonlyMap<string, number>;
}

/** Serves `devices`, by name, on a Unix socket. The default export is `''` if there is one. */
export async function listen(
  devices: Readonly<Record<string, BlockDevice>>,
  options: Omit<NbdServerOptions, 'catalog'> & { readonly contexts?: readonly MetaContext[] } = {},
): Promise<Listening> {
  const directory = mkdtempSync(join(tmpdir(), 'palimpsest-nbd-'));
  const socket = join(directory, 'nbd.sock');
  const leases = new Map<string, number>();
  const count = (name: string, by: number) => leases.set(name, (leases.get(name) ?? 0) + by);
  const server = createNbdServer({
    ...options,
    catalog: {
      list: async () =>
        Object.keys(devices).map((name) => ({ name, description: `about ${name}` })),
      async open(name) {
        const device = Object.hasOwn(devices, name) ? devices[name] : undefined;
        if (device === undefined) return undefined;
        count(name, 1);
        const { contexts = [] } = options;
        return {
          device,
          description: `about ${name}`,
          contexts: () => contexts,
          release: async () => void count(name, -1),
        };
      },
    },
  });
  const listener = createServer((connection) => void server.serve(connection));
  await new Promise<void>((resolve) => listener.listen(socket, resolve));
  return {
    server,
    socket,
    directory,
    leases,
    uri: (exportName = '') => `nbd+unix:///${encodeURIComponent(exportName)}?socket=${socket}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => listener.close(resolve));
      await server.close();
      await closed;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The sha256 of a device's content. */
export async function sha256(device: BlockDevice): Promise<string> {
  const hash = createHash('sha256');
  const piece = new Uint8Array(1 << 20);
  for (let position = 0; position < device.size; position += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, device.size - position));
    await device.readInto(part, position);
    hash.update(part);
  }
  return hash.digest('hex');
}
