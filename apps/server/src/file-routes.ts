/**
 * The API's routes for files: see `FileVerbs` of mounted-files for what each does.
 *
 *   A8  A tree of files goes in frames, which tell by themselves whether they are whole: down as the body
 *       of an answer, up in parts of at most 8 MiB, one request each (see UploadSessions).
 */
import type { CopyInfo, CopyTarget, FilePlace, FileVerbs } from '@palimpsest/mounted-files';
import { decodeTree, encodeTree } from '@palimpsest/mounted-files/wire';
import type { Context, Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { errorBody, TransportError } from './api-errors.js';
import { linesOf } from './lines.js';
import { checkedQuery, jsonBody } from './request.js';
import { addUploadRoutes } from './upload-routes.js';
import { UploadSessions } from './upload-sessions.js';
import { flag, text } from './verbs/verb.js';

const partition = z.number().int().positive().exactOptional();
const place = z.strictObject({ reference: text, path: text, partition });
const target = place.extend({ name: text, intoDirectory: flag });

/** Options of a query, where everything is text. */
const asked = {
  reference: text,
  partition: z.coerce.number().int().positive().exactOptional(),
} as const;
const isSet = z
  .literal('1')
  .transform(() => true)
  .exactOptional();
const listQuery = z.strictObject({ ...asked, path: text, recursive: isSet });
const statQuery = z.strictObject({ ...asked, path: text });
const treeQuery = z.strictObject({ ...asked, path: text, recursive: isSet, follow: isSet });
const uploadQuery = z.strictObject({ ...asked, path: text, name: text, intoDirectory: isSet });
const spaceQuery = z.strictObject(asked);
const diffQuery = z.strictObject({ a: text, b: text, partition: asked.partition });

const formatBody = z.strictObject({
  reference: text,
  partition,
  label: text.exactOptional(),
  overwrite: flag,
  dryRun: flag,
});
const copyBody = z.strictObject({ from: place, to: target, recursive: flag });
const mkdirBody = z.strictObject({ place, parents: flag });
const removeBody = z.strictObject({ place, recursive: flag, force: flag });
const moveBody = z.strictObject({ from: place, to: place });

/** Adds the routes. */
export function addFileRoutes(app: Hono, files: FileVerbs): void {
  app.get('/v1/fs/list', (context) => {
    const { recursive = false, ...at } = checkedQuery(context, listQuery);
    return linesOf(context, files.list(at, { recursive }));
  });
  app.get('/v1/fs/stat', async (context) =>
    context.json(await files.stat(checkedQuery(context, statQuery))),
  );
  app.get('/v1/fs/tree', (context) => {
    const { recursive = false, follow = false, ...at } = checkedQuery(context, treeQuery);
    return tree(context, files.read(at, { recursive, follow }));
  });
  app.get('/v1/fs/space', async (context) => {
    const { reference, ...how } = checkedQuery(context, spaceQuery);
    return context.json(await files.space(reference, how));
  });
  app.get('/v1/fs/check', async (context) => {
    const { reference, ...how } = checkedQuery(context, spaceQuery);
    return context.json(await files.check(reference, how));
  });
  app.get('/v1/fs/diff', (context) => {
    const { a, b, ...how } = checkedQuery(context, diffQuery);
    return linesOf(context, files.diff(a, b, how));
  });
  addChanges(app, files);
}

function addChanges(app: Hono, files: FileVerbs): void {
  app.post('/v1/fs/format', async (context) => {
    const { reference, ...how } = await jsonBody(context, formatBody);
    return context.json(await files.format(reference, how));
  });
  app.post('/v1/fs/copy', async (context) => {
    const { from, to, ...how } = await jsonBody(context, copyBody);
    return context.json(await files.copy(from as FilePlace, to as CopyTarget, how));
  });
  app.post('/v1/fs/mkdir', async (context) => {
    const { place: at, ...how } = await jsonBody(context, mkdirBody);
    await files.makeDirectory(at, how);
    return context.json({});
  });
  app.post('/v1/fs/remove', async (context) => {
    const { place: at, ...how } = await jsonBody(context, removeBody);
    await files.remove(at, how);
    return context.json({});
  });
  app.post('/v1/fs/move', async (context) => {
    const { from, to } = await jsonBody(context, moveBody);
    await files.move(from, to);
    return context.json({});
  });
  const uploads = new UploadSessions<CopyInfo>();
  addUploadRoutes(app, '/v1/fs/uploads', uploads, (context) => {
    const to = checkedQuery(context, uploadQuery);
    return uploads.begin((bytes) => files.write(to, decodeTree(bytes, cut)));
  });
}

/** What a sender says that could not read what it sends. */
function cut(told: { readonly message?: string }): Error {
  return new TransportError('ERR_BAD_REQUEST', `the sender failed: ${told.message ?? 'no reason'}`);
}

/** A8. What is wrong before the first part is the request's failure. */
async function tree(context: Context, parts: ReturnType<FileVerbs['read']>): Promise<Response> {
  const all = parts[Symbol.asyncIterator]();
  const first = await all.next();
  context.header('Content-Type', 'application/octet-stream');
  return stream(context, async (out) => {
    async function* whole() {
      if (first.done !== true) yield first.value;
      for (let next = await all.next(); next.done !== true; next = await all.next()) {
        yield next.value;
      }
    }
    try {
      for await (const bytes of encodeTree(whole(), errorBody)) {
        if (out.aborted) return;
        await out.write(bytes);
      }
    } finally {
      await all.return?.();
    }
  });
}
