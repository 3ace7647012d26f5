/**
 * Steps: work on a Vfs written once, for answers that are there at once and for promises of them. A
 * step is `yield* now(vfs.lookup(…))`.
 *
 *   G1  As long as every answer is there at once, all steps run in one turn: nobody comes between a
 *       path's walk and what is done at its end.
 */
import type { Answer } from '../vfs.js';

/** A generator of promises to wait for, which returns a T. */
export type Steps<T> = Generator<Promise<unknown>, T, unknown>;

/** The value of an answer, waited for if it is a promise. */
export function* now<T>(answer: Answer<T>): Steps<T> {
  return answer instanceof Promise ? ((yield answer) as T) : answer;
}

/** Runs steps to their end: in this turn, unless there is something to wait for (G1). */
export function perform<T>(steps: Steps<T>): Answer<T> {
  const first = steps.next();
  return first.done === true ? first.value : finish(steps, first.value);
}

async function finish<T>(steps: Steps<T>, first: Promise<unknown>): Promise<T> {
  for (let waiting = first; ; ) {
    const resume = await waiting.then(
      (value) => () => steps.next(value),
      (error: unknown) => () => steps.throw(error),
    );
    const result = resume();
    if (result.done === true) return result.value;
    waiting = result.value;
  }
}
