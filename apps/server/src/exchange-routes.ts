/**
 * The API's routes for differences, space and the exchange of changes.
 *
 *   A6  A difference is told as lines, {"position","length"} each, then {"type":"done"} or an error;
 *       an export as the bytes of its stream, which tell by themselves whether they are whole.
 *   A7  An import comes in parts of at most 8 MiB, one request each: see UploadSessions.
 */
import type { ImportInfo, Logger, Store } from '@palimpsest/control';
import type { Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { linesOf } from './lines.js';
import { checkedQuery } from './request.js';
import { addUploadRoutes } from './upload-routes.js';
import { UploadSessions } from './upload-sessions.js';

const text = z.string().max(4096);
const diffQuery = z.strictObject({ a: text, b: text });
const exportQuery = z.strictObject({
  reference: text,
  from: text.optional(),
  start: z.coerce.number().int().nonnegative().optional(),
});
const importQuery = z.strictObject({ volume: text, name: text.optional() });

/** Adds the routes. */
export function addExchangeRoutes(app: Hono, store: Store, logger: Logger): void {
  addImportRoutes(app, store);
  const references = (context: Context): string[] => context.req.queries('reference') ?? [];

  app.get('/v1/diff', async (context) => {
    const { a, b } = checkedQuery(context, diffQuery);
    return linesOf(context, store.diff(a, b));
  });
  app.get('/v1/space', async (context) => {
    const named = references(context);
    return context.json({ items: await store.spaceOf(named.length > 0 ? named : undefined) });
  });
  app.get('/v1/space/gain', async (context) =>
    context.json(await store.deletionGain(references(context))),
  );
  app.get('/v1/space/forecast', (context) => context.json(store.forecast()));

  app.get('/v1/export', async (context) => {
    const { reference, from, start } = checkedQuery(context, exportQuery);
    const chunks = store
      .exportChanges(reference, {
        ...(from === undefined ? {} : { from }),
        ...(start === undefined ? {} : { startsAt: start }),
      })
      [Symbol.asyncIterator]();
    let next = await chunks.next();
    context.header('Content-Type', 'application/octet-stream');
    return stream(context, async (out) => {
      try {
        for (; next.done !== true && !out.aborted; next = await chunks.next()) {
          await out.write(next.value);
        }
      } catch (error) {
        // The stream ends without its trailer: the receiver finds it cut off.
        logger.error('export failed', { reference, error: String(error) });
      } finally {
        await chunks.return?.();
      }
    });
  });
}

/** A7. */
function addImportRoutes(app: Hono, store: Store): void {
  const imports = new UploadSessions<ImportInfo>();
  app.get('/v1/imports', (context) => context.json({ items: store.unfinishedImports() }));
  addUploadRoutes(app, '/v1/imports', imports, (context) => {
    const { volume, name } = checkedQuery(context, importQuery);
    const options = { volume, ...(name === undefined ? {} : { name }) };
    return imports.begin((stream) => store.importChanges(stream, options), volume);
  });
}
