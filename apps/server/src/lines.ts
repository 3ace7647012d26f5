/** Answers line by line: each item as JSON, then {"type":"done"}, or an error (A6). */
import type { Context } from 'hono';
import { stream } from 'hono/streaming';
import { errorBody } from './api-errors.js';

/** Lines written together. */
const LINES = 512;

/** Tells the items. What is wrong before the first of them is the request's failure. */
export async function linesOf(context: Context, items: AsyncIterable<object>): Promise<Response> {
  const all = items[Symbol.asyncIterator]();
  let next = await all.next();
  context.header('Content-Type', 'application/x-ndjson');
  return stream(context, async (out) => {
    try {
      let lines: string[] = [];
      for (; next.done !== true && !out.aborted; next = await all.next()) {
        lines.push(`${JSON.stringify(next.value)}\n`);
        if (lines.length < LINES) continue;
        await out.write(lines.join(''));
        lines = [];
      }
      await out.write(`${lines.join('')}${JSON.stringify({ type: 'done' })}\n`);
    } catch (error) {
      await out.write(`${JSON.stringify({ type: 'error', ...errorBody(error) })}\n`);
    } finally {
      await all.return?.();
    }
  });
}
