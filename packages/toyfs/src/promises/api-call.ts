/**
 * ApiCall: how a function of the API runs: steps on the Vfs, and failures told as Node tells them.
 */
import { asSystemError } from './node-errors.js';
import { pathText } from './path-like.js';
import { perform, type Steps } from './steps.js';

type Path = string | Uint8Array;

/** Runs steps; a failure of the file system becomes that of `syscall` on these paths. */
export async function apiCall<T>(
  syscall: string,
  steps: Steps<T>,
  path?: Path,
  dest?: Path,
): Promise<T> {
  try {
    const answer = perform(steps);
    return answer instanceof Promise ? await answer : answer;
  } catch (error) {
    throw asSystemError(
      error,
      syscall,
      path === undefined ? undefined : pathText(path),
      dest === undefined ? undefined : pathText(dest),
    );
  }
}
