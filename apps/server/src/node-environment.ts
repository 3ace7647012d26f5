/** The machine as a store needs it: files, clock, timer, randomness. */
import { randomBytes } from 'node:crypto';
import type { ControlEnvironment, Logger } from '@palimpsest/control';
import { createNodeFiles } from './node-files.js';

/** What a store on this machine is opened with. */
export function createNodeEnvironment(logger: Logger): ControlEnvironment {
  return {
    files: createNodeFiles(),
    now: Date.now,
    every(periodMs, work) {
      const timer = setInterval(work, periodMs);
      // A store that is forgotten must not keep its process alive.
      timer.unref();
      return () => clearInterval(timer);
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    random: (length) => randomBytes(length),
    logger,
  };
}
