/**
 * Requests of the control API read with care, and their answers: bodies and queries checked against a
 * schema (A3), long work told as lines while it goes on (A5).
 */
import type { Logger, OnProgress } from '@palimpsest/control';
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { z } from 'zod';
import { errorBody, TransportError } from './api-errors.js';

/** Bytes of a body: far more than the largest valid one. */
const BODY_LIMIT = 256 * 1024;
const NDJSON = 'application/x-ndjson';
/** The header in which a client says for whom it asks. */
const BY_HEADER = 'palimpsest-by';

/** A3. @throws {TransportError} ERR_BAD_REQUEST, ERR_TOO_LARGE. */
export async function jsonBody<T extends z.ZodType>(
  context: Context,
  schema: T,
): Promise<z.infer<T>> {
  return fitting(schema, await jsonValue(context), 'the body');
}

/** The query, checked. @throws {TransportError} ERR_BAD_REQUEST. */
export function checkedQuery<T extends z.ZodType>(context: Context, schema: T): z.infer<T> {
  return fitting(schema, context.req.query(), 'the query');
}

/**
 * For whom the client asks, for the log: what it says of itself, not proven, since who has the token
 * may do everything. A printable line, cut.
 */
export function askedBy(context: Context): string {
  const said = (context.req.header(BY_HEADER) ?? '').replaceAll(/[^\x21-\x7e]/g, '').slice(0, 80);
  return said === '' ? 'somebody@api' : said;
}

/** A5. Without NDJSON the answer is the result alone, when it is there. */
export async function longWork(
  context: Context,
  work: (onProgress: OnProgress) => Promise<object>,
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

function fitting<T extends z.ZodType>(schema: T, value: unknown, what: string): z.infer<T> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const faults = result.error.issues.map((issue) => {
    const where = issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : '';
    return `${where}${issue.message}`;
  });
  throw new TransportError('ERR_BAD_REQUEST', `${what} is not valid: ${faults.join('; ')}`);
}
