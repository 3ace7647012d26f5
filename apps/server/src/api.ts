/**
 * The control API: the store's verbs as JSON over HTTP under /v1, on a Unix socket. GET reads, POST
 * changes; the path is noun and verb, the body says the rest. Beside it, /metrics for Prometheus.
 *
 *   A1  Every request carries the token; without it nothing is told, not even which routes exist.
 *   A2  A request that a web page could have caused is refused: foreign Host or Origin, cross-site.
 *   A3  A change takes a JSON body, at most 256 KiB of it, checked against a schema; unknown keys
 *       are refused.
 *   A4  Every failure is `{"error":{"code","message"}}` with the status of HTTP_STATUS.
 *   A5  Long work tells its progress as NDJSON when the client accepts it: lines of type
 *       "progress", then one of type "done" with the result, or "error".
 */
import type { Logger, Store } from '@palimpsest/control';
import { type FileErrorCode, type FileVerbs, fileErrorStatus } from '@palimpsest/mounted-files';
import { type Context, Hono } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { type ApiErrorCode, errorBody, HTTP_STATUS, TransportError } from './api-errors.js';
import { addExchangeRoutes } from './exchange-routes.js';
import { addFileRoutes } from './file-routes.js';
import { PROMETHEUS_TYPE, prometheusText } from './prometheus.js';
import { askedBy, checkedQuery, jsonBody, longWork } from './request.js';
import { listQuery, logQuery } from './schemas.js';
import type { ServiceClient, ServiceInfo, ServiceMetrics, ServiceUsage } from './service.js';
import { sameToken } from './token.js';
import { VERBS } from './verbs/index.js';

/** Hosts that a request may be for: the names of a Unix socket's and of loopback's own. */
const HOSTS = /^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$/;

/** What the API speaks for. */
export interface ApiOptions {
  readonly store: Store;
  readonly files: FileVerbs;
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
    return context.json(body, statusOf(body.error.code) as ContentfulStatusCode);
  });
  app.notFound(() => {
    throw new TransportError('ERR_NO_ROUTE', 'there is no such route; they are under /v1');
  });

  app.get('/v1/health', (context) => context.json({ status: 'ok' }));
  app.get('/v1/status', (context) =>
    context.json({ ...store.status(), service: options.service() }),
  );
  const metrics = (): ServiceMetrics => ({
    ...store.metrics(),
    service: usageOf(options.service()),
  });
  app.get('/v1/metrics', (context) => context.json(metrics()));
  app.get('/metrics', (context) =>
    context.body(prometheusText(metrics()), 200, { 'Content-Type': PROMETHEUS_TYPE }),
  );
  app.get('/v1/clients', (context) => context.json({ items: options.clients() }));
  app.get('/v1/exports', (context) => context.json({ items: store.exports() }));

  app.get('/v1/volumes', (context) => context.json({ items: store.listVolumes() }));
  app.get('/v1/snapshots', (context) => {
    const { volume } = checkedQuery(context, listQuery);
    return context.json({ items: store.listSnapshots(volume) });
  });
  app.get('/v1/branches', (context) => {
    const { volume } = checkedQuery(context, listQuery);
    return context.json({ items: store.listBranches(volume) });
  });
  app.get('/v1/deleted', (context) => context.json({ items: store.deleted() }));
  app.get('/v1/restores', (context) => context.json({ items: store.restores() }));
  app.get('/v1/jobs', (context) => context.json({ items: store.jobs() }));
  app.get('/v1/log', (context) => {
    const { limit } = checkedQuery(context, logQuery);
    return context.json({ items: store.log(limit) });
  });
  app.get('/v1/schedules', (context) => context.json({ items: store.schedules() }));
  app.get('/v1/settings', (context) => context.json(store.settings()));

  addExchangeRoutes(app, store, logger);
  addFileRoutes(app, options.files);
  for (const verb of VERBS) {
    app.post(`/v1/${verb.path}`, async (context) => {
      const body = await jsonBody(context, verb.schema);
      const by = askedBy(context);
      return longWork(
        context,
        (onProgress) => verb.work(store, body, { by, onProgress }),
        verb.status,
        logger,
      );
    });
  }
  return app;
}

function usageOf({ clients, startedAt }: ServiceInfo): ServiceUsage {
  const { user, system } = process.cpuUsage();
  const residentBytes = process.memoryUsage.rss();
  return { clients, startedAt, cpuSeconds: (user + system) / 1e6, residentBytes };
}

function statusOf(code: ApiErrorCode): number {
  return code.startsWith('ERR_')
    ? HTTP_STATUS[code as keyof typeof HTTP_STATUS]
    : fileErrorStatus(code as FileErrorCode);
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
