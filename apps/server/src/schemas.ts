/** What the control API takes in queries, checked before the store hears of it. */
import { z } from 'zod';
import { text } from './verbs/verb.js';

/** Queries of the lists. */
export const listQuery: z.ZodObject<{ volume: z.ZodExactOptional<z.ZodString> }, z.core.$strict> =
  z.strictObject({ volume: text.exactOptional() });

/** Queries of the log. */
export const logQuery: z.ZodObject<
  { limit: z.ZodExactOptional<z.ZodCoercedNumber> },
  z.core.$strict
> = z.strictObject({ limit: z.coerce.number().int().positive().exactOptional() });
