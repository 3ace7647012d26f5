/** The control API's own promises (A1 to A5), over its real socket. */
import http from 'node:http';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RunningServer, serveStore } from '../src/serve-store.js';
import { readToken } from '../src/token.js';
import { VERBS } from '../src/verbs/index.js';
import { scratchStore } from './scratch.js';

let server: RunningServer;
let token: string;

beforeEach(async () => {
  const directory = await scratchStore();
  server = await serveStore({ dir: directory });
  token = await readToken(directory);
});
afterEach(() => server.close());

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly json: { readonly error?: { readonly code: string; readonly message: string } };
}

function send(
  method: string,
  path: string,
  options: { headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.request(
      {
        socketPath: server.addresses.controlSocket,
        method,
        path,
        agent: false,
        headers: { host: 'localhost', authorization: `Bearer ${token}`, ...options.headers },
      },
      async (response) => {
        let text = '';
        for await (const part of response.setEncoding('utf8')) text += part;
        const type = response.headers['content-type'] ?? '';
        const json = type.includes('ndjson') ? {} : JSON.parse(text);
        resolve({ status: response.statusCode ?? 0, type, text, json });
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}

const JSON_TYPE = { 'content-type': 'application/json' };

describe('the door (A1, A2)', () => {
  test.each<[string, Record<string, string>, number, string]>([
    ['no token', { authorization: '' }, 401, 'ERR_UNAUTHORIZED'],
    ['a wrong token', { authorization: `Bearer ${'0'.repeat(64)}` }, 401, 'ERR_UNAUTHORIZED'],
    ['another scheme', { authorization: 'Basic eDp5' }, 401, 'ERR_UNAUTHORIZED'],
    ['another host', { host: 'evil.example' }, 403, 'ERR_FORBIDDEN'],
    ['a host that begins well', { host: 'localhost.evil.example' }, 403, 'ERR_FORBIDDEN'],
    ['a web page', { origin: 'http://localhost:3000' }, 403, 'ERR_FORBIDDEN'],
    ['another site', { 'sec-fetch-site': 'cross-site' }, 403, 'ERR_FORBIDDEN'],
  ])('%s is refused on every route', async (_what, headers, status, code) => {
    for (const path of ['/v1/health', '/v1/volumes', '/nowhere']) {
      const answer = await send('GET', path, { headers });
      expect([answer.status, answer.json.error?.code]).toEqual([status, code]);
      expect(answer.text).not.toContain(token);
    }
  });

  test('with it, health is well, and an unknown route is told', async () => {
    expect(await send('GET', '/v1/health')).toMatchObject({ status: 200, json: { status: 'ok' } });
    expect(await send('GET', '/v2/x')).toMatchObject({
      status: 404,
      json: { error: { code: 'ERR_NO_ROUTE' } },
    });
  });
});

describe('bodies (A3)', () => {
  test.each<[string, string, Record<string, string>, number]>([
    ['no content type', '{"name":"v","size":4096}', {}, 400],
    ['a form', 'name=v', { 'content-type': 'application/x-www-form-urlencoded' }, 400],
    ['no JSON', '{"name":', JSON_TYPE, 400],
    ['an array', '[]', JSON_TYPE, 400],
    ['an unknown key', '{"name":"v","size":4096,"sise":1}', JSON_TYPE, 400],
    ['__proto__', '{"name":"v","size":4096,"__proto__":{}}', JSON_TYPE, 400],
    ['a text for a number', '{"name":"v","size":"4096"}', JSON_TYPE, 400],
    ['a fraction', '{"name":"v","size":4096.5}', JSON_TYPE, 400],
    ['a huge number', '{"name":"v","size":1e300}', JSON_TYPE, 400],
    ['deep nesting', `{"name":${'['.repeat(9000)}${']'.repeat(9000)}}`, JSON_TYPE, 400],
    ['300 KiB', `{"name":"${'x'.repeat(300 * 1024)}","size":4096}`, JSON_TYPE, 413],
  ])('%s is refused', async (_what, body, headers, status) => {
    const answer = await send('POST', '/v1/volumes/create', { body, headers });
    expect(answer.status).toBe(status);
    expect(answer.json.error?.code).toMatch(/^ERR_(BAD_REQUEST|TOO_LARGE)$/);
    expect(server.store.listVolumes()).toEqual([]);
  });

  test('a body without a length is cut off where it is too large', async () => {
    const answer = await send('POST', '/v1/volumes/create', {
      headers: { ...JSON_TYPE, 'transfer-encoding': 'chunked' },
      body: `{"name":"${'x'.repeat(300 * 1024)}","size":4096}`,
    });
    expect(answer.status).toBe(413);
  });

  test('what is wrong with a body is told by its field', async () => {
    const message = async (body: string): Promise<string | undefined> =>
      (await send('POST', '/v1/volumes/create', { headers: JSON_TYPE, body })).json.error?.message;
    expect(await message('{"name":"v"}')).toContain('size: ');
    const adopting = { headers: JSON_TYPE, body: '{"name":"v","path":"x"}' };
    expect((await send('POST', '/v1/volumes/adopt', adopting)).json.error?.message).toContain(
      'path: must be absolute',
    );
  });

  test('unknown and malformed queries are refused', async () => {
    expect((await send('GET', '/v1/snapshots?volumes=v')).status).toBe(400);
    expect((await send('GET', '/v1/log?limit=some')).status).toBe(400);
    expect((await send('GET', '/v1/log?limit=5')).status).toBe(200);
  });

  test.each(VERBS.map((verb) => [verb.path, verb] as const))(
    '%s refuses a key that it does not know, before the store hears of it',
    async (path) => {
      const body = '{"surplus":true}';
      const answer = await send('POST', `/v1/${path}`, { headers: JSON_TYPE, body });
      expect([answer.status, answer.json.error?.code]).toEqual([400, 'ERR_BAD_REQUEST']);
      expect(answer.json.error?.message).toContain('surplus');
    },
  );
});

describe('answers (A4, A5)', () => {
  test('statuses follow the codes', async () => {
    const make = { headers: JSON_TYPE, body: '{"name":"v","size":4096}' };
    expect((await send('POST', '/v1/volumes/create', make)).status).toBe(201);
    expect(await send('POST', '/v1/volumes/create', make)).toMatchObject({
      status: 409,
      json: { error: { code: 'ERR_EXISTS' } },
    });
    const release = (name: string): Promise<Answer> =>
      send('POST', '/v1/volumes/release', { headers: JSON_TYPE, body: JSON.stringify({ name }) });
    expect((await release('none')).status).toBe(404);
    expect((await release('..')).status).toBe(400);
    expect((await release('v')).json).toMatchObject({ removed: ['v'] });
  });

  test('who asks stands in the log, as a plain word', async () => {
    const body = '{"reference":"v","message":"hello"}';
    await send('POST', '/v1/volumes/create', {
      headers: JSON_TYPE,
      body: '{"name":"v","size":4096}',
    });
    for (const by of ['alice@cli', 'two words\tand more', undefined]) {
      const headers = by === undefined ? JSON_TYPE : { ...JSON_TYPE, 'palimpsest-by': by };
      expect((await send('POST', '/v1/edit', { headers, body })).status).toBe(200);
    }
    const said = server.store.log(3).map((each) => each.by);
    expect(said).toEqual(['somebody@api', 'twowordsandmore', 'alice@cli']);
  });

  test('progress comes as lines, and so does a failure', async () => {
    const headers = { ...JSON_TYPE, accept: 'application/x-ndjson' };
    const body = '{"name":"v","size":1048576,"allocate":true}';
    const answer = await send('POST', '/v1/volumes/create', { headers, body });
    expect(answer.type).toBe('application/x-ndjson');
    const types = answer.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type);
    expect(types).toEqual(['progress', 'done']);
    const again = await send('POST', '/v1/volumes/create', { headers, body });
    expect(JSON.parse(again.text)).toMatchObject({ type: 'error', error: { code: 'ERR_EXISTS' } });
  });
});

describe('garbage', () => {
  const garbage: readonly (readonly [string, Buffer | string])[] = [
    ['noise', Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 151 + 7) % 256))],
    ['zeros', Buffer.alloc(65_536)],
    ['an NBD handshake', 'NBDMAGICIHAVEOPT'],
    ['half a request', 'GET /v1/health HTT'],
    ['huge headers', `GET / HTTP/1.1\r\nhost: localhost\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`],
    ['two lengths', 'POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx'],
    ['nothing', ''],
  ];
  test.each(garbage)('%s ends its own connection and nothing else', async (_what, bytes) => {
    const socket = net.connect(server.addresses.controlSocket);
    const heard: Buffer[] = [];
    socket.on('data', (part) => heard.push(part));
    // The server may close before it has read all: that is its answer.
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.end(bytes);
    await new Promise((resolve) => socket.once('close', resolve));
    const text = Buffer.concat(heard).toString();
    if (text !== '') expect(text).toMatch(/^HTTP\/1\.1 4/);
    expect((await send('GET', '/v1/health')).status).toBe(200);
  });
});
