/**
 * What ZenFS's tests take from newer Nodes than ours. Loaded before them.
 */
import { types } from 'node:util';

Promise.withResolvers ??= function withResolvers() {
  let resolve;
  let reject;
  const promise = new Promise((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};
Error.isError ??= types.isNativeError;
