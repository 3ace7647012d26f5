/**
 * lateVfs: a Vfs that answers nothing at once: each call begins and ends some turns later, so that
 * whatever may come in between does.
 */
import type { Vfs } from '../vfs.js';

/** The Vfs, late by up to `turnsMax` turns before and after each call, as `random` (0 to 1) says. */
export function lateVfs(vfs: Vfs, random: () => number, turnsMax = 4): Vfs {
  const wait = async (): Promise<void> => {
    for (let turns = Math.floor(random() * (turnsMax + 1)); turns > 0; turns--) await undefined;
  };
  return new Proxy(vfs, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      if (name === 'watch') return value.bind(target);
      return async (...args: unknown[]) => {
        await wait();
        try {
          return await value.apply(target, args);
        } finally {
          await wait();
        }
      };
    },
  });
}
