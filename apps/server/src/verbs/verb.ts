/**
 * Verb: one change that the control API takes, as data: where it is asked for, what its body is, and
 * the method of the store that carries it out. Unknown keys of a body are refused. Names and references
 * are checked by the store, whose rule it is; here only their type and length.
 */
import type { OnProgress, Store } from '@palimpsest/control';
import { z } from 'zod';

/** What a verb is told beside its body. */
export interface Asked {
  /** Who asks, as `alice@cli`. */
  readonly by: string;
  readonly onProgress: OnProgress;
}

/** One verb. */
export interface Verb {
  /** Under /v1, as `snapshots/refresh`. */
  readonly path: string;
  readonly schema: z.ZodType;
  /** The status of success. */
  readonly status: 200 | 201;
  /** Does it with a body that fits the schema. */
  work(store: Store, body: unknown, asked: Asked): Promise<object>;
}

/** Describes a verb. */
export function verb<T extends z.ZodType>(
  path: string,
  schema: T,
  work: (store: Store, body: z.infer<T>, asked: Asked) => Promise<object>,
  status: 200 | 201 = 200,
): Verb {
  return { path, schema, status, work: (store, body, asked) => work(store, body as never, asked) };
}

/** Characters of any string: longer than every valid one, shorter than an attack. */
export const text: z.ZodString = z.string().max(4096);
/** A number of bytes, or of milliseconds. */
export const amount: z.ZodNumber = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
/** An option that is on or off. */
export const flag: z.ZodExactOptional<z.ZodBoolean> = z.boolean().exactOptional();
/** Words of the user's own. */
export const labels: z.ZodExactOptional<z.ZodRecord<z.ZodString, z.ZodString>> = z
  .record(text, text)
  .exactOptional();
/** A rate. */
export const bytesPerSecond: z.ZodExactOptional<z.ZodNumber> = amount.positive().exactOptional();
/** How to remove. */
export const removal = {
  dryRun: flag,
  now: flag,
  hide: flag,
  recursive: flag,
  force: flag,
} as const;
