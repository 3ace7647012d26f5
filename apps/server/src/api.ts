/**
 * The control API: the store's verbs as JSON over HTTP under /v1, on a Unix socket.
 *
 *   A1  Every request carries the token; without it nothing is told, not even which routes exist.
 *   A2  A request that a web page could have caused is refused: foreign Host or Origin, cross-site.
 *   A3  A change takes a JSON body, at most 256 KiB of it, checked against a schema; unknown keys
 *       are refused.
 *   A4  Every failure is `{"error":{"code","message"}}` with the status of HTTP_STATUS.
 *   A5  Long work tells its progress as NDJSON when the client accepts it: lines of type
 *       "progress", then one of type "done" with the result, or "error".
 */
import type { Logger, OnProgress, Store } from '@palimpsest/control';
import { branchReference, snapshotReference } from '@palimpsest/control/grammar';
import { type Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { z } from 'zod';
import { errorBody, HTTP_STATUS, TransportError } from './api-errors.js';
import * as schemas from './schemas.js';
import type { ServiceClient, ServiceInfo } from './service.js';
import { sameToken } from './token.js';

/** Bytes of a body: far more than the largest valid one. */
const BODY_LIMIT = 256 * 1024;
/** Hosts that a request may be for: the names of a Unix socket's and of loopback's own. */
const HOSTS = /^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$/;
const NDJSON = 'application/x-ndjson';

/** What the API speaks for. */
export interface ApiOptions {
  readonly store: Store;
  readonly token: string;
  readonly logger: Logger;
  service(): ServiceInfo;
  clients(): readonly ServiceClient[];
}

/** Makes the API; `fetch` of the result answers requests. */
export function createApi(options: ApiOptions): Hono {
  const { store, logger } = options;
  const app = new Hono();

  app.use(async (context, next) => {
    guard(context, options.token);
    await next();
  });
  app.onError((error, context) => {
    const body = errorBody(error);
    if (body.error.code === 'ERR_INTERNAL') {
      logger.error('request failed', { path: context.req.path, error: error.stack ?? '' });
    }
    return context.json(body, HTTP_STATUS[body.error.code] as ContentfulStatusCode);
  });
  app.notFound(() => {
    throw new TransportError('ERR_NO_ROUTE', 'there is no such route; they are under /v1');
  });

  app.get('/v1/health', (context) => context.json({ status: 'ok' }));
  app.get('/v1/status', (context) =>
    context.json({ ...store.status(), service: options.service() }),
  );
  app.get('/v1/clients', (context) => context.json({ items: options.clients() }));
  app.get('/v1/exports', (context) => context.json({ items: store.exports() }));

  app.get('/v1/volumes', (context) => context.json({ items: store.listVolumes() }));
  app.post('/v1/volumes', async (context) => {
    const value = await jsonValue(context);
    if (typeof value === 'object' && value !== null && 'path' in value) {
      const adoption = fitting(schemas.adoptVolumeBody, value, 'the body');
      return context.json(await store.adoptVolume(adoption), 201);
    }
    const { name, size, allocate } = fitting(schemas.createVolumeBody, value, 'the body');
    const request = { name, size, allocate: allocate === true };
    return longWork(
      context,
      (onProgress) => store.createVolume({ ...request, onProgress }),
      201,
      logger,
    );
  });
  app.delete('/v1/volumes/:volume', (context) => {
    const query = checkedQuery(context, schemas.releaseQuery);
    const how = { dryRun: query.dryRun === true, dropSnapshots: query.dropSnapshots === true };
    return longWork(
      context,
      (onProgress) => store.releaseVolume(context.req.param('volume'), { ...how, onProgress }),
      200,
      logger,
    );
  });

  app.get('/v1/snapshots', (context) => {
    const { volume } = checkedQuery(context, schemas.listQuery);
    return context.json({ items: store.listSnapshots(volume) });
  });
  app.post('/v1/volumes/:volume/snapshots', async (context) => {
    const { name, message } = await jsonBody(context, schemas.snapshotBody);
    const snapshot = await store.createSnapshot({
      volume: context.req.param('volume'),
      ...(name === undefined ? {} : { name }),
      ...(message === undefined ? {} : { message }),
    });
    return context.json(snapshot, 201);
  });
  app.delete('/v1/volumes/:volume/snapshots/:snapshot', (context) => {
    const dryRun = checkedQuery(context, schemas.removalQuery).dryRun === true;
    const { volume, snapshot } = context.req.param();
    const reference = snapshotReference(volume, snapshot);
    return longWork(
      context,
      (onProgress) => store.deleteSnapshot(reference, { dryRun, onProgress }),
      200,
      logger,
    );
  });

  app.get('/v1/branches', (context) => {
    const { volume } = checkedQuery(context, schemas.listQuery);
    return context.json({ items: store.listBranches(volume) });
  });
  app.post('/v1/branches', async (context) => {
    const body = await jsonBody(context, schemas.branchBody);
    return context.json(await store.createBranch(body), 201);
  });
  app.delete('/v1/volumes/:volume/branches/:branch', (context) => {
    const dryRun = checkedQuery(context, schemas.removalQuery).dryRun === true;
    const { volume, branch } = context.req.param();
    const reference = branchReference(volume, branch);
    return longWork(
      context,
      (onProgress) => store.deleteBranch(reference, { dryRun, onProgress }),
      200,
      logger,
    );
  });
  return app;
}

/** A1 and A2. */
function guard(context: Context, token: string): void {
  const { req } = context;
  const [scheme, given] = (req.header('authorization') ?? '').split(' ');
  if (scheme !== 'Bearer' || given === undefined || !sameToken(given, token)) {
    throw new TransportError(
      'ERR_UNAUTHORIZED',
      'send the token of the store: Authorization: Bearer (what its token file holds)',
    );
  }
  if (!HOSTS.test(req.header('host') ?? '')) {
    throw new TransportError('ERR_FORBIDDEN', 'the Host header names another host');
  }
  if (req.header('origin') !== undefined || req.header('sec-fetch-site') === 'cross-site') {
    throw new TransportError('ERR_FORBIDDEN', 'requests of web pages are not answered');
  }
}

/** A3. */
async function jsonBody<T extends z.ZodType>(context: Context, schema: T): Promise<z.infer<T>> {
  return fitting(schema, await jsonValue(context), 'the body');
}

async function jsonValue(context: Context): Promise<unknown> {
  const type = (context.req.header('content-type') ?? '').split(';')[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new TransportError('ERR_BAD_REQUEST', 'send JSON: Content-Type: application/json');
  }
  const text = await bodyText(context);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TransportError('ERR_BAD_REQUEST', `the body is not JSON: ${String(cause)}`);
  }
}

/** The body, read no further than it may be long, whatever length it claims. */
async function bodyText(context: Context): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of context.req.raw.body ?? []) {
    length += part.length;
    if (length > BODY_LIMIT) {
      throw new TransportError('ERR_TOO_LARGE', `a body is at most ${BODY_LIMIT} bytes`);
    }
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function checkedQuery<T extends z.ZodType>(context: Context, schema: T): z.infer<T> {
  return fitting(schema, context.req.query(), 'the query');
}

function fitting<T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => {
    const where = issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
    return `${where}${issue.message}`;
  });
  throw new TransportError('ERR_BAD_REQUEST', `${what} is not valid: ${faults.join('; ')}`);
}

/** A5. Without NDJSON the answer is the result alone, when it is there. */
async function longWork<T extends object>(
  context: Context,
  work: (onProgress: OnProgress) => Promise<T>,
  status: ContentfulStatusCode,
  logger: Logger,
): Promise<Response> {
  if (!(context.req.header('accept') ?? '').includes(NDJSON)) {
    return context.json(await work(() => {}), status);
  }
  context.header('Content-Type', NDJSON);
  return stream(context, async (out) => {
    const line = (value: object): Promise<unknown> => out.write(`${JSON.stringify(value)}\n`);
    try {
      const result = await work((progress) => void line({ type: 'progress', ...progress }));
      await line({ type: 'done', result });
    } catch (error) {
      const body = errorBody(error);
      if (body.error.code === 'ERR_INTERNAL')
        logger.error('request failed', { error: String(error) });
      await line({ type: 'error', ...body });
    }
  });
}
