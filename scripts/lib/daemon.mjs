/**
 * The built command line and daemon as a harness meets them: every path, socket name and option the
 * scripts rely on is here, once. Only processes started here are ended here.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The root of the repository. */
export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** The built command line. */
export const PAL = join(ROOT, 'apps/cli/dist/pal.cjs');
/** A daemon that has not opened its socket after this long is broken, on the slowest machine too. */
const READY_MS = 20_000;
/** Graceful shutdown promises 5 s; the rest is for a busy machine. */
const STOP_MS = 15_000;

/** Daemons end with who started them, however that ends in order. */
const running = new Set();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Fails early, with the remedy, when there is no build. */
export function assertBuilt() {
  if (!existsSync(PAL)) throw new Error(`${PAL} is missing: run "npm run build" first`);
}

/**
 * Runs `pal ARGS --store STORE --json`; the parsed answer. Rejects with what stderr said.
 * @param {string} store
 * @param {...string} args
 */
export function pal(store, ...args) {
  return new Promise((resolve, reject) => {
    const argv = [PAL, ...args, '--store', store, '--json'];
    execFile(process.execPath, argv, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error !== null) {
        const told = `pal ${args.join(' ')} (exit ${error.code ?? error.signal}):\n${stdout}${stderr}`;
        reject(Object.assign(new Error(told), { exitCode: error.code, stderr }));
      } else resolve(stdout.trim() === '' ? undefined : JSON.parse(stdout));
    });
  });
}

/** The NBD socket of a store. */
export const nbdSocket = (store) => join(store, 'nbd.sock');

/** The socket of the control API. */
const controlSocket = (store) => join(store, 'control.sock');

/** The URI of an export, as libnbd and qemu take it. */
export function nbdUri(store, name) {
  return `nbd+unix:///${name}?socket=${nbdSocket(store)}`;
}

/**
 * Starts `pal serve` and resolves when both its sockets take connections. `nodeArgs` are for Node,
 * as `--cpu-prof`.
 * @param {string} store
 */
export async function startDaemon(store, { args = [], nodeArgs = [], log } = {}) {
  const argv = [...nodeArgs, PAL, 'serve', '--store', store, ...args];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const hear = (bytes) => {
    said = (said + bytes).slice(-8192);
    log?.(String(bytes));
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  running.add(child);
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  let gone = false;
  exited.then(() => {
    gone = true;
    running.delete(child);
  });
  const daemon = {
    pid: child.pid,
    exited,
    said: () => said,
    /** SIGKILL, and wait for the process to be gone. */
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    /** SIGTERM, as Ctrl-C does; fails when the daemon does not end in time or not in order. */
    async stop() {
      child.kill('SIGTERM');
      const timer = sleep(STOP_MS, 'late', { ref: false });
      if ((await Promise.race([exited, timer])) === 'late') {
        await daemon.kill();
        throw new Error(`the daemon did not stop within ${STOP_MS} ms; it said:\n${said}`);
      }
      const { code, signal } = await exited;
      if (code !== 0) throw new Error(`the daemon ended with ${code ?? signal}; it said:\n${said}`);
    },
  };
  for (const start = performance.now(); ; ) {
    if (gone) throw new Error(`the daemon did not start; it said:\n${said}`);
    if ((await accepts(nbdSocket(store))) && (await accepts(controlSocket(store)))) return daemon;
    if (performance.now() - start > READY_MS) {
      await daemon.kill();
      throw new Error(`no ${nbdSocket(store)} after ${READY_MS} ms; the daemon said:\n${said}`);
    }
    await sleep(4);
  }
}

/** Whether something listens on the socket; a file left by a dead daemon does not. */
function accepts(path) {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Asks the control API of a running daemon; rejects with what it answered. */
async function api(store, method, path, body) {
  const token = (await readFile(join(store, 'token'), 'utf8')).trim();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const headers = {
    host: 'localhost',
    authorization: `Bearer ${token}`,
    ...(text === undefined ? {} : { 'content-type': 'application/json' }),
    ...(text === undefined ? {} : { 'content-length': Buffer.byteLength(text) }),
  };
  return new Promise((resolve, reject) => {
    const options = { socketPath: controlSocket(store), method, path, headers };
    const outgoing = request(options, async (response) => {
      try {
        let answer = '';
        for await (const part of response.setEncoding('utf8')) answer += part;
        if (response.statusCode < 400) resolve(JSON.parse(answer));
        else {
          const { statusCode } = response;
          const told = `${method} ${path}: ${statusCode} ${answer}`;
          reject(Object.assign(new Error(told), { statusCode }));
        }
      } catch (error) {
        reject(error);
      }
    });
    outgoing.once('error', reject);
    outgoing.end(text);
  });
}

/**
 * What the harnesses ask of a running store, by reference (`prod@s1`, `prod/b2`), over its API: a
 * fifth of a second quicker than a command line for each, which is what the kill loop lives on.
 */
export const control = {
  async list(store) {
    const names = async (noun) =>
      (await api(store, 'GET', `/v1/${noun}`)).items.map(({ reference }) => reference);
    return { snapshots: await names('snapshots'), branches: await names('branches') };
  },
  /** Any change: its path as in the server's README, its body. */
  ask: (store, verb, body) => api(store, 'POST', `/v1/${verb}`, body),
  metrics: (store) => api(store, 'GET', '/v1/metrics'),
  createVolume: (store, name, size) => api(store, 'POST', '/v1/volumes/create', { name, size }),
  /** Of a volume or of a branch. */
  createSnapshot(store, reference) {
    const [volume, name] = reference.split('@');
    return api(store, 'POST', '/v1/snapshots/create', { volume, name });
  },
  deleteSnapshot: (store, reference) =>
    api(store, 'POST', '/v1/snapshots/delete', { reference, now: true }),
  createBranch: (store, name, from) => api(store, 'POST', '/v1/branches/create', { name, from }),
  deleteBranch: (store, reference) =>
    api(store, 'POST', '/v1/branches/delete', { reference, now: true, recursive: true }),
  /** Clients of the branch are ended; so in the next two. */
  refreshBranch: (store, branch, from) =>
    api(store, 'POST', '/v1/branches/refresh', { branch, from, force: true }),
  /** `how`: `bytesPerSecond`. */
  restore: (store, target, from, how = {}) =>
    api(store, 'POST', '/v1/restore', { target, from, force: true, ...how }),
  cancelRestore: (store, target) =>
    api(store, 'POST', '/v1/restore/cancel', { target, force: true }),
  undo: (store) => api(store, 'POST', '/v1/undo', { force: true }),
  resumeRestore: (store, target, how = {}) =>
    api(store, 'POST', '/v1/restore/resume', { target, ...how }),
  restores: async (store) => (await api(store, 'GET', '/v1/restores')).items,
};
