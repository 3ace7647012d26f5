/** The routes of uploads of one kind: begin, a part, the end, or breaking off. See UploadSessions. */
import type { Context, Hono } from 'hono';
import { TransportError } from './api-errors.js';
import type { UploadSessions } from './upload-sessions.js';

/** Bytes of one part. */
const PART_MAX = 8 << 20;

/** Adds them under `path`; `begin` reads the query and begins one. */
export function addUploadRoutes<R extends object>(
  app: Hono,
  path: string,
  sessions: UploadSessions<R>,
  begin: (context: Context) => Promise<string>,
): void {
  app.post(path, async (context) => context.json({ id: await begin(context) }, 201));
  app.post(`${path}/:id/parts`, async (context) => {
    const session = sessions.find(context.req.param('id'));
    await session.push(await part(context));
    return context.json({});
  });
  app.post(`${path}/:id/end`, async (context) =>
    context.json((await sessions.find(context.req.param('id')).end()) as object),
  );
  app.post(`${path}/:id/abort`, (context) => {
    sessions.find(context.req.param('id')).abort();
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
