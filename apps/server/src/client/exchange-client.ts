/** Differences, space and the exchange of changes, through a daemon or on a store that is open here. */
import http from 'node:http';
import { StorageError } from '@palimpsest/block-device';
import type {
  ByteRange,
  DeletionGain,
  ExportOptions,
  ImportInfo,
  ImportOptions,
  SpaceForecast,
  SpaceInfo,
  Store,
  UnfinishedImport,
} from '@palimpsest/control';
import type { ApiErrorBody } from '../api-errors.js';
import { failure } from './daemon-request.js';

/** See `ExchangeVerbs` of the control package for what each promises and throws. */
export interface ExchangeClient {
  diff(a: string, b: string): AsyncIterable<ByteRange>;
  spaceOf(references?: readonly string[]): Promise<readonly SpaceInfo[]>;
  deletionGain(references: readonly string[]): Promise<DeletionGain>;
  forecast(): Promise<SpaceForecast>;
  exportChanges(reference: string, options?: ExportOptions): AsyncIterable<Uint8Array>;
  importChanges(stream: AsyncIterable<Uint8Array>, options: ImportOptions): Promise<ImportInfo>;
  unfinishedImports(): Promise<readonly UnfinishedImport[]>;
}

/** Bytes sent together. */
const PART = 4 << 20;

/** Where a daemon answers. */
export interface Daemon {
  readonly socketPath: string;
  readonly token: string;
}

/** The verbs of a store that is open in this process. */
export function directExchange(store: Store): ExchangeClient {
  return {
    diff: (a, b) => store.diff(a, b),
    spaceOf: (references) => store.spaceOf(references),
    deletionGain: (references) => store.deletionGain(references),
    forecast: async () => store.forecast(),
    exportChanges: (reference, options) => store.exportChanges(reference, options),
    importChanges: (stream, options) => store.importChanges(stream, options),
    unfinishedImports: async () => store.unfinishedImports(),
  };
}

/** The verbs of a daemon. */
export function daemonExchange(daemon: Daemon): ExchangeClient {
  const get = <T>(path: string): Promise<T> => json<T>(daemon, 'GET', path);
  const named = (references: readonly string[]): string =>
    new URLSearchParams(references.map((each): [string, string] => ['reference', each])).toString();
  return {
    diff: (a, b) => linesOf<ByteRange>(daemon, `/v1/diff?${new URLSearchParams({ a, b })}`),
    spaceOf: async (references = []) =>
      (await get<{ items: SpaceInfo[] }>(`/v1/space?${named(references)}`)).items,
    deletionGain: (references) => get(`/v1/space/gain?${named(references)}`),
    forecast: () => get('/v1/space/forecast'),
    async *exportChanges(reference, { from, startsAt = 0 } = {}) {
      const base = from === undefined ? {} : { from };
      const query = new URLSearchParams({ reference, start: String(startsAt), ...base });
      yield* await ask(daemon, 'GET', `/v1/export?${query}`);
    },
    importChanges: (stream, options) => sendChanges(daemon, stream, options),
    unfinishedImports: async () => (await get<{ items: UnfinishedImport[] }>('/v1/imports')).items,
  };
}

/** What a daemon tells line by line. */
export async function* linesOf<T>(daemon: Daemon, path: string): AsyncGenerator<T> {
  const response = await ask(daemon, 'GET', path);
  response.setEncoding('utf8');
  let rest = '';
  for await (const part of response) {
    const lines = `${rest}${part}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const value = JSON.parse(line) as { type?: string } & ApiErrorBody;
      if (value.type === 'done') return;
      if (value.type === 'error') throw failure(value);
      yield value as T;
    }
  }
  throw new StorageError('ERR_IO', 'the daemon stopped before all was told');
}

function sendChanges(
  daemon: Daemon,
  stream: AsyncIterable<Uint8Array>,
  { volume, name, onProgress }: ImportOptions,
): Promise<ImportInfo> {
  const query = new URLSearchParams({ volume, ...(name === undefined ? {} : { name }) });
  return upload<ImportInfo>(daemon, '/v1/imports', query, stream, (sent) =>
    onProgress?.({ phase: 'importing', done: sent, unit: 'bytes' }),
  );
}

/** Sends a stream in parts, each when the one before has been taken. */
export async function upload<T>(
  daemon: Daemon,
  route: string,
  query: URLSearchParams,
  stream: AsyncIterable<Uint8Array>,
  onSent: (bytes: number) => void = () => undefined,
): Promise<T> {
  const { id } = await json<{ id: string }>(daemon, 'POST', `${route}?${query}`);
  const path = `${route}/${id}`;
  let sent = 0;
  try {
    for await (const bytes of inParts(stream)) {
      await json(daemon, 'POST', `${path}/parts`, bytes);
      sent += bytes.length;
      onSent(sent);
    }
  } catch (error) {
    await json(daemon, 'POST', `${path}/abort`).catch(() => undefined); // it falls silent anyway
    throw error;
  }
  return json(daemon, 'POST', `${path}/end`);
}

async function* inParts(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    for (let at = 0; at < chunk.length; at += PART) {
      const bytes = chunk.subarray(at, at + PART);
      if (length + bytes.length > PART) {
        yield Buffer.concat(gathered);
        gathered = [];
        length = 0;
      }
      gathered.push(bytes);
      length += bytes.length;
    }
  }
  if (length > 0) yield Buffer.concat(gathered);
}

/** Asks for one document. */
export async function json<T>(
  daemon: Daemon,
  method: 'GET' | 'POST',
  path: string,
  body?: Uint8Array,
): Promise<T> {
  return JSON.parse(await textOf(await ask(daemon, method, path, body))) as T;
}

/** Asks, and resolves with an answer that is no failure; its body is still to be read. */
export async function ask(
  { socketPath, token }: Daemon,
  method: 'GET' | 'POST',
  path: string,
  body: Uint8Array = new Uint8Array(0),
): Promise<http.IncomingMessage> {
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const headers = {
      host: 'localhost',
      authorization: `Bearer ${token}`,
      'content-type': 'application/octet-stream',
      'content-length': String(body.length),
    };
    const outgoing = http.request({ socketPath, method, path, agent: false, headers }, resolve);
    outgoing.on('error', (error) => {
      reject(new StorageError('ERR_IO', `the daemon did not answer: ${error.message}`));
    });
    outgoing.end(body);
  });
  if ((response.statusCode ?? 500) < 400) return response;
  throw failure(JSON.parse(await textOf(response)) as ApiErrorBody);
}

async function textOf(response: http.IncomingMessage): Promise<string> {
  response.setEncoding('utf8');
  let text = '';
  for await (const part of response) text += part;
  return text;
}
