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
  later: (held: Held) => Answer<T> = (held) => retry(cache, attempt, held),
): Answer<T> {
  let held = had;
  const giveUp = (error: unknown): never => {
    cache.release(held);
    throw error;
  };
  for (;;) {
    try {
      const result = attempt();
      cache.release(held);
      return result;
    } catch (error) {
      if (!(error instanceof Miss)) return giveUp(error);
      held ??= [];
      const wait = loaded(cache, error.blocks, held, giveUp);
      if (wait !== undefined) return wait.then(() => later(held), giveUp);
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
