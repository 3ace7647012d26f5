/** The files of a store that a daemon serves, through its API. */
import type { CopyInfo, FilePlace, FileVerbs } from '@palimpsest/mounted-files';
import { decodeTree, encodeTree } from '@palimpsest/mounted-files/wire';
import { failure, type Line, request } from './daemon-request.js';
import { ask, linesOf, upload } from './exchange-client.js';

/** The verbs of a daemon. */
export function daemonFiles(line: Line): FileVerbs {
  const get = <T>(path: string): Promise<T> => request(line, { method: 'GET', path });
  const post = <T>(verb: string, body: object): Promise<T> =>
    request(line, { method: 'POST', path: `/v1/fs/${verb}`, body });
  return {
    format: (reference, how = {}) => post('format', { reference, ...how }),
    list: (place, { recursive } = {}) =>
      linesOf(line, `/v1/fs/list?${query(place, { recursive })}`),
    stat: (place) => get(`/v1/fs/stat?${query(place, {})}`),
    async *read(place, { recursive, follow } = {}) {
      const response = await ask(line, 'GET', `/v1/fs/tree?${query(place, { recursive, follow })}`);
      yield* decodeTree(response, failure);
    },
    write: ({ name, intoDirectory, ...place }, tree) => {
      const asked = query(place, { intoDirectory });
      asked.set('name', name);
      const bytes = encodeTree(tree, (error) => {
        throw error; // ours: the upload is broken off with it
      });
      return upload<CopyInfo>(line, '/v1/fs/uploads', asked, bytes);
    },
    copy: (from, to, how = {}) => post('copy', { from, to, ...how }),
    makeDirectory: (place, how = {}) => done(post('mkdir', { place, ...how })),
    remove: (place, how = {}) => done(post('remove', { place, ...how })),
    move: (from, to) => done(post('move', { from, to })),
    space: (reference, { partition } = {}) =>
      get(`/v1/fs/space?${parameters({ reference, partition })}`),
    check: (reference, { partition } = {}) =>
      get(`/v1/fs/check?${parameters({ reference, partition })}`),
    diff: (a, b, { partition } = {}) =>
      linesOf(line, `/v1/fs/diff?${parameters({ a, b, partition })}`),
  };
}

async function done(answer: Promise<unknown>): Promise<void> {
  await answer;
}

function query(place: FilePlace, flags: Readonly<Record<string, boolean | undefined>>) {
  const set = Object.entries(flags).flatMap(([name, value]) => (value ? [[name, '1']] : []));
  return parameters({ ...place, ...Object.fromEntries(set) });
}

function parameters(values: object): URLSearchParams {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
}
