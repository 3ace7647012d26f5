/**
 * A StoreClient that speaks to a daemon through its control socket. It needs only Node's own
 * modules, so that a command line that uses it starts quickly.
 */
import http from 'node:http';
import { StorageError, type StorageErrorCode } from '@palimpsest/block-device';
import type {
  BranchInfo,
  ExportInfo,
  OnProgress,
  Removal,
  SnapshotInfo,
  VolumeInfo,
} from '@palimpsest/control';
import {
  assertName,
  parseBranchReference,
  parseSnapshotReference,
} from '@palimpsest/control/grammar';
import { type ApiErrorBody, HTTP_STATUS } from '../api-errors.js';
import { controlSocketPath } from '../layout.js';
import type { ServiceClient, ServiceStatus } from '../service.js';
import { answers, type SocketPath, shortSocketPath } from '../sockets.js';
import { readToken } from '../token.js';
import type { StoreClient } from './store-client.js';

/** A failure of the daemon that is not the store's. */
export class DaemonError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.name = 'DaemonError';
    this.code = code;
  }
}

/** A line of progress, or the end. */
type Line =
  | ({ readonly type: 'progress' } & Parameters<OnProgress>[0])
  | { readonly type: 'done'; readonly result: unknown }
  | ({ readonly type: 'error' } & ApiErrorBody);

interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  readonly onProgress?: OnProgress | undefined;
}

/** Connects to the daemon of a store; undefined when none answers. */
export async function openDaemonClient(directory: string): Promise<StoreClient | undefined> {
  const socket = socketOf(directory);
  if (socket === undefined) return undefined;
  if (!(await answers(socket.path))) {
    socket.release();
    return undefined;
  }
  const token = await readToken(directory);
  const call = <T>(what: Call): Promise<T> => request<T>(socket.path, token, what);
  const items = async <T>(path: string, volume?: string): Promise<readonly T[]> => {
    const query = volume === undefined ? '' : `?volume=${encodeURIComponent(volume)}`;
    return (await call<{ items: readonly T[] }>({ method: 'GET', path: `${path}${query}` })).items;
  };
  const close = async (): Promise<void> => socket.release();
  return {
    mode: 'daemon',
    status: () => call<ServiceStatus>({ method: 'GET', path: '/v1/status' }),
    createVolume: ({ name, size, allocate = false, onProgress }) =>
      call<VolumeInfo>({
        method: 'POST',
        path: '/v1/volumes',
        body: { name, size, allocate },
        onProgress,
      }),
    adoptVolume: ({ name, path }) =>
      call<VolumeInfo>({ method: 'POST', path: '/v1/volumes', body: { name, path } }),
    releaseVolume: async (name, { dryRun = false, dropSnapshots = false, onProgress } = {}) =>
      call<Removal>({
        method: 'DELETE',
        path: `/v1/volumes/${step(name)}?dryRun=${dryRun}&dropSnapshots=${dropSnapshots}`,
        onProgress,
      }),
    listVolumes: () => items<VolumeInfo>('/v1/volumes'),
    createSnapshot: async ({ volume, ...body }) =>
      call<SnapshotInfo>({
        method: 'POST',
        path: `/v1/volumes/${step(volume)}/snapshots`,
        body,
      }),
    async deleteSnapshot(text, { dryRun = false, onProgress } = {}) {
      const path = `${snapshotPath(text)}?dryRun=${dryRun}`;
      return call<Removal>({ method: 'DELETE', path, onProgress });
    },
    listSnapshots: (volume) => items<SnapshotInfo>('/v1/snapshots', volume),
    createBranch: ({ name, from }) =>
      call<BranchInfo>({ method: 'POST', path: '/v1/branches', body: { name, from } }),
    async deleteBranch(text, { dryRun = false, onProgress } = {}) {
      const path = `${branchPath(text)}?dryRun=${dryRun}`;
      return call<Removal>({ method: 'DELETE', path, onProgress });
    },
    listBranches: (volume) => items<BranchInfo>('/v1/branches', volume),
    listExports: () => items<ExportInfo>('/v1/exports'),
    listClients: () => items<ServiceClient>('/v1/clients'),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The control socket, if its directory can be reached at all. */
function socketOf(directory: string): SocketPath | undefined {
  try {
    return shortSocketPath(controlSocketPath(directory));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Where a snapshot is in the API; the daemon finds what "latest" means. */
function snapshotPath(text: string): string {
  const { volume } = parseSnapshotReference(text);
  return `/v1/volumes/${volume}/snapshots/${encodeURIComponent(text.slice(volume.length + 1))}`;
}

/** Where a branch is in the API. */
function branchPath(text: string): string {
  const { volume, branch } = parseBranchReference(text);
  return `/v1/volumes/${volume}/branches/${branch}`;
}

/** A volume's name as a step of a path: checked here, as "" and ".." would be another path. */
function step(name: string): string {
  assertName('volume', name);
  return encodeURIComponent(name);
}

function request<T>(socketPath: string, token: string, call: Call): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const body = call.body === undefined ? undefined : JSON.stringify(call.body);
    const outgoing = http.request(
      {
        socketPath,
        method: call.method,
        path: call.path,
        agent: false,
        headers: {
          host: 'localhost',
          authorization: `Bearer ${token}`,
          accept: call.onProgress === undefined ? 'application/json' : 'application/x-ndjson',
          ...(body === undefined
            ? {}
            : {
                'content-type': 'application/json',
                'content-length': String(Buffer.byteLength(body)),
              }),
        },
      },
      (response) => {
        const streamed = (response.headers['content-type'] ?? '').includes('x-ndjson');
        const done = streamed ? readLines(response, call.onProgress) : readWhole(response);
        done.then((value) => resolve(value as T), reject);
      },
    );
    outgoing.on('error', (error) => {
      reject(new DaemonError('ERR_DAEMON', `the daemon did not answer: ${error.message}`));
    });
    outgoing.end(body);
  });
}

async function readWhole(response: http.IncomingMessage): Promise<unknown> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part;
  const value = parsed(text);
  if ((response.statusCode ?? 500) < 400) return value;
  throw failure(value as ApiErrorBody);
}

async function readLines(
  response: http.IncomingMessage,
  onProgress: OnProgress | undefined,
): Promise<unknown> {
  response.setEncoding('utf8');
  let rest = '';
  for await (const part of response) {
    const lines = `${rest}${part}`.split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) {
      const line = parsed(text) as Line;
      if (line.type === 'done') return line.result;
      if (line.type === 'error') throw failure(line);
      const { type: _, ...progress } = line;
      onProgress?.(progress);
    }
  }
  throw new DaemonError('ERR_DAEMON', 'the daemon stopped before the work was done');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DaemonError('ERR_DAEMON', `the daemon's answer is not JSON: ${String(cause)}`);
  }
}

/** The same error as the daemon had: a StorageError when its code is one of the store's. */
function failure(body: ApiErrorBody): Error {
  const { code, message } = body.error;
  const transport = [
    'ERR_UNAUTHORIZED',
    'ERR_FORBIDDEN',
    'ERR_NO_ROUTE',
    'ERR_BAD_REQUEST',
    'ERR_TOO_LARGE',
    'ERR_INTERNAL',
  ];
  if (code in HTTP_STATUS && !transport.includes(code)) {
    return new StorageError(code as StorageErrorCode, message);
  }
  return new DaemonError(code, message);
}
