/** HTTP to a daemon over its control socket: one request a connection, answers whole or line by line. */
import http from 'node:http';
import { StorageError, type StorageErrorCode } from '@palimpsest/block-device';
import type { OnProgress } from '@palimpsest/control';
import { FileError, type FileErrorCode } from '@palimpsest/mounted-files/wire';
import { type ApiErrorBody, HTTP_STATUS } from '../api-errors.js';

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
type AnswerLine =
  | ({ readonly type: 'progress' } & Parameters<OnProgress>[0])
  | { readonly type: 'done'; readonly result: unknown }
  | ({ readonly type: 'error' } & ApiErrorBody);

/** One request. */
export interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: object;
  readonly onProgress?: OnProgress | undefined;
}

/** Where requests go, and who asks. */
export interface Line {
  readonly socketPath: string;
  readonly token: string;
  /** For the log, as `alice@cli`. */
  readonly by: string;
}

/** Asks the daemon; what it answers, or the error that it had. */
export function request<T>({ socketPath, token, by }: Line, call: Call): Promise<T> {
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
          'palimpsest-by': by,
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
      const line = parsed(text) as AnswerLine;
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

/** The same error as the daemon had: the store's, a file system's, or one of the transport. */
export function failure(body: ApiErrorBody): Error {
  const { code, message } = body.error;
  if (!code.startsWith('ERR_')) return new FileError(code as FileErrorCode, message);
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
