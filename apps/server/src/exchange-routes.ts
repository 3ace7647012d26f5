/**
 * The API's routes for differences, space and the exchange of changes.
 *
 *   A6  A difference is told as lines, {"position","length"} each, then {"type":"done"} or an error;
 *       an export as the bytes of its stream, which tell by themselves whether they are whole.
 *   A7  An import comes in parts of at most 8 MiB, one request each: see ImportSessions.
 */
import type { Logger, Store } from '@palimpsest/control';
import type { Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { errorBody, TransportError } from './api-errors.js';
import { ImportSessions } from './import-sessions.js';

/** Bytes of one part of an import. */
const PART_MAX = 8 << 20;
/** Ranges written together. */
const LINES = 512;

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
    const { a, b } = query(context, diffQuery);
    const ranges = store.diff(a, b)[Symbol.asyncIterator]();
    let next = await ranges.next(); // what is wrong with the references is the request's failure
    context.header('Content-Type', 'application/x-ndjson');
    return stream(context, async (out) => {
      try {
        let lines: string[] = [];
        for (; next.done !== true; next = await ranges.next()) {
          lines.push(`${JSON.stringify(next.value)}\n`);
          if (lines.length < LINES) continue;
          await out.write(lines.join(''));
          lines = [];
        }
        await out.write(`${lines.join('')}${JSON.stringify({ type: 'done' })}\n`);
      } catch (error) {
        await out.write(`${JSON.stringify({ type: 'error', ...errorBody(error) })}\n`);
      }
    });
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
    const { reference, from, start } = query(context, exportQuery);
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
  const imports = new ImportSessions(store);
  app.get('/v1/imports', (context) => context.json({ items: store.unfinishedImports() }));
  app.post('/v1/imports', async (context) => {
    const { volume, name } = query(context, importQuery);
    const id = await imports.begin({ volume, ...(name === undefined ? {} : { name }) });
    return context.json({ id }, 201);
  });
  app.post('/v1/imports/:id/parts', async (context) => {
    const session = imports.find(context.req.param('id'));
    await session.push(await part(context));
    return context.json({});
  });
  app.post('/v1/imports/:id/end', async (context) =>
    context.json(await imports.find(context.req.param('id')).end()),
  );
  app.post('/v1/imports/:id/abort', (context) => {
    imports.find(context.req.param('id')).abort();
    return context.json({});
  });
}

async function part(context: Context): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of context.req.raw.body ?? []) {
    length += chunk.length;
    if (length > PART_MAX) {
      throw new TransportError('ERR_TOO_LARGE', `a part has at most ${PART_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function query<T extends z.ZodType>(context: Context, schema: T): z.infer<T> {
  const result = schema.safeParse(context.req.query());
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new TransportError('ERR_BAD_REQUEST', `the query is not valid: ${faults.join('; ')}`);
}
