/**
 * retry: runs a function over blocks in memory until it misses none. What it missed is held until it
 * ends: each time it misses less, however small the cache and however many run at once.
 */
import { type BlockCache, type Held, Miss } from './block-cache.js';
import type { Answer } from './vfs.js';

/**
 * What `attempt` answers. After a wait `later` goes on instead, where other things are to be looked at
 * before; `held` is what is held already.
 */
export function retry<T>(
  cache: BlockCache,
  attempt: () => T,
  had: Held,
  later?: (held: Held) => Answer<T>,
): Answer<T> {
  // Nearly always all is there: nothing is made for what comes after a miss.
  if (had !== undefined) return afterMiss(cache, attempt, had, undefined, later);
  try {
    return attempt();
  } catch (error) {
    if (!(error instanceof Miss)) throw error;
    return afterMiss(cache, attempt, undefined, error, later);
  }
}

function afterMiss<T>(
  cache: BlockCache,
  attempt: () => T,
  had: Held,
  missed: Miss | undefined,
  later: (held: Held) => Answer<T> = (held) => retry(cache, attempt, held),
): Answer<T> {
  let held = had;
  let miss = missed;
  const giveUp = (error: unknown): never => {
    cache.release(held);
    throw error;
  };
  for (;;) {
    if (miss !== undefined) {
      held ??= [];
      const wait = loaded(cache, miss.blocks, held, giveUp);
      if (wait !== undefined) return wait.then(() => later(held), giveUp);
    }
    try {
      const result = attempt();
      cache.release(held);
      return result;
    } catch (error) {
      if (!(error instanceof Miss)) return giveUp(error);
      miss = error;
    }
  }
}

function loaded(
  cache: BlockCache,
  blocks: readonly number[],
  held: NonNullable<Held>,
  giveUp: (error: unknown) => never,
): Promise<void> | undefined {
  try {
    return cache.load(blocks, held);
  } catch (error) {
    return giveUp(error);
  }
}
