/**
 * The form with a callback of a function that answers a promise.
 *
 *   N1  A callback is called once, after the turn of the call; what it throws is nobody's to catch.
 */
import { callbackify } from 'node:util';
import { functionOf } from './validate.js';

/** A function with its result, or its failure, to a callback at the end. */
// biome-ignore lint/suspicious/noExplicitAny: the arguments are those of the promise's function
export type WithCallback = (...args: any[]) => void;

/** See the head of the file. `results` are what the callback gets after the error. */
export function withCallback(
  // biome-ignore lint/suspicious/noExplicitAny: as above
  act: (...args: any[]) => Promise<unknown>,
  results: (result: unknown) => readonly unknown[] = (result) => [result],
): WithCallback {
  return (...args) => {
    const callback = args.pop();
    functionOf(callback, 'cb');
    callbackify(() => act(...args))((error, result) => {
      if (error === null) callback(null, ...results(result));
      else callback(error);
    });
  };
}
