/**
 * A StoreClient that speaks to a daemon through its control socket. It needs only Node's own
 * modules, so that a command line that uses it starts quickly.
 */
import type { OnProgress, ScheduleInfo } from '@palimpsest/control';
import { controlSocketPath } from '../layout.js';
import { answers, type SocketPath, shortSocketPath } from '../sockets.js';
import { readToken } from '../token.js';
import { request } from './daemon-request.js';
import { daemonExchange, type ExchangeClient } from './exchange-client.js';
import { daemonFiles } from './file-client.js';
import type { StoreClient } from './store-client.js';

/** Connects to the daemon of a store; undefined when none answers. `by` is who asks, for the log. */
export async function openDaemonClient(
  directory: string,
  by = 'somebody@api',
): Promise<StoreClient | undefined> {
  const socket = socketOf(directory);
  if (socket === undefined) return undefined;
  if (!(await answers(socket.path))) {
    socket.release();
    return undefined;
  }
  const line = { socketPath: socket.path, token: await readToken(directory), by };
  const close = async (): Promise<void> => socket.release();
  return {
    mode: 'daemon',
    files: daemonFiles(line),
    ...daemonExchange(line),
    ...verbs(
      (path) => request(line, { method: 'GET', path: `/v1/${path}` }),
      (path, body, onProgress) =>
        request(line, { method: 'POST', path: `/v1/${path}`, body, onProgress }),
    ),
    close,
    [Symbol.asyncDispose]: close,
  };
}

type Get = <T>(path: string) => Promise<T>;
type Post = <T>(path: string, body: object, onProgress?: OnProgress) => Promise<T>;
type Answers = Omit<
  StoreClient,
  'mode' | 'files' | 'close' | typeof Symbol.asyncDispose | keyof ExchangeClient
>;

function verbs(get: Get, post: Post): Answers {
  const items = async <T>(path: string, query: Record<string, string> = {}): Promise<T[]> => {
    const asked = new URLSearchParams(query).toString();
    return (await get<{ items: T[] }>(asked === '' ? path : `${path}?${asked}`)).items;
  };
  const of = (volume?: string): Record<string, string> => (volume === undefined ? {} : { volume });
  return {
    status: () => get('status'),
    metrics: () => get('metrics'),
    listVolumes: () => items('volumes'),
    listSnapshots: (target) => items('snapshots', of(target)),
    listBranches: (volume) => items('branches', of(volume)),
    listExports: () => items('exports'),
    listClients: () => items('clients'),
    deleted: () => items('deleted'),
    restores: () => items('restores'),
    jobs: () => items('jobs'),
    log: (limit) => items('log', limit === undefined ? {} : { limit: String(limit) }),
    schedules: () => items('schedules'),
    settings: () => get('settings'),

    createVolume: ({ onProgress, ...body }) => post('volumes/create', body, onProgress),
    adoptVolume: (body) => post('volumes/adopt', body),
    releaseVolume: (name, { onProgress, by: _, ...how } = {}) =>
      post('volumes/release', { name, ...how }, onProgress),
    deleteVolume: (name, { onProgress, by: _, ...how } = {}) =>
      post('volumes/delete', { name, ...how }, onProgress),
    resize: (reference, size) => post('resize', { reference, size }),
    createSnapshot: ({ by: _, ...body }) => post('snapshots/create', body),
    createGroupSnapshot: async ({ by: _, ...body }) =>
      (await post<{ items: [] }>('groups/snapshot', body)).items,
    refreshSnapshot: (reference, { by: _, ...how } = {}) =>
      post('snapshots/refresh', { reference, ...how }),
    deleteSnapshot: (reference, { onProgress, by: _, ...how } = {}) =>
      post('snapshots/delete', { reference, ...how }, onProgress),
    hold: (reference, tag, { by: _, ...how } = {}) =>
      post('snapshots/hold', { reference, tag, ...how }),
    unhold: (reference, tag) => post('snapshots/unhold', { reference, tag }),
    edit: async (reference, { by: _, ...changes }) =>
      (await post<{ reference: string }>('edit', { reference, ...changes })).reference,
    createBranch: ({ by: _, ...body }) => post('branches/create', body),
    refreshBranch: ({ by: _, ...body }) => post('branches/refresh', body),
    flattenBranch: (reference, how = {}) => post('branches/flatten', { reference, ...how }),
    pauseFlatten: (reference) => post('branches/pause', { reference }),
    setQuota: (branch, bytes) => post('branches/quota', { branch, bytes }),
    deleteBranch: (reference, { onProgress, by: _, ...how } = {}) =>
      post('branches/delete', { reference, ...how }, onProgress),
    restore: ({ by: _, ...body }) => post('restore', body),
    pauseRestore: (target) => post('restore/pause', { target }),
    resumeRestore: (target, how = {}) => post('restore/resume', { target, ...how }),
    cancelRestore: (target, { by: _, ...how } = {}) => post('restore/cancel', { target, ...how }),
    undo: ({ by: _, ...body } = {}) => post('undo', body),
    followJob: (id, onProgress) => post('jobs/wait', { id }, onProgress),
    setSchedule: async (target, schedule) =>
      (await post<{ items: readonly ScheduleInfo[] }>('schedules/set', { target, schedule })).items,
    configure: (changes) => post('settings', changes),
    verify: (how = {}) => post('verify', how),
    resolve: async (reference) =>
      (await post<{ reference: string }>('resolve', { reference })).reference,
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
