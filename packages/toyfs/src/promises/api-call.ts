/**
 * ApiCall: how a function of the API runs: steps on the Vfs, and failures told as Node tells them.
 */
import type { Answer } from '../vfs.js';
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
  return apiAnswer(syscall, steps, path, dest);
}

/** As `apiCall`; what is there at once is answered at once. */
export function apiAnswer<T>(
  syscall: string,
  steps: Steps<T>,
  path?: Path,
  dest?: Path,
): Answer<T> {
  const fail = (error: unknown): never => {
    throw asSystemError(
      error,
      syscall,
      path === undefined ? undefined : pathText(path),
      dest === undefined ? undefined : pathText(dest),
    );
  };
  try {
    const answer = perform(steps);
    return answer instanceof Promise ? answer.catch(fail) : answer;
  } catch (error) {
    return fail(error);
  }
}
