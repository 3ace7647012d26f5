/** The difference of two references, in bytes, from the block map alone. */
import { changedBlocks, depthsOf, type StateReference } from '@palimpsest/rw-snapshot';
import { type Found, find } from './catalog.js';
import type { StoreContext } from './context.js';
import type { ByteRange } from './exchange-types.js';

/** See `ExchangeVerbs.diff`. */
export async function* differences(
  context: StoreContext,
  a: string,
  b: string,
): AsyncGenerator<ByteRange> {
  const { index, environment, save } = context;
  const now = environment.now();
  const [stateA, stateB] = [stateOf(find(index, a, now)), stateOf(find(index, b, now))];
  await save.commit(); // what is held is no part of the map yet
  for await (const { first, count } of changedBlocks(save, stateA, stateB)) {
    context.assertGoingOn();
    yield { position: first * save.blockSize, length: count * save.blockSize };
  }
}

/** See `ExchangeVerbs.depths`. */
export async function depths(
  context: StoreContext,
  reference: string,
  position: number,
  length: number,
): Promise<readonly { readonly length: number; readonly depth: number }[]> {
  const { index, environment, save } = context;
  const state = stateOf(find(index, reference, environment.now()));
  await save.commit();
  const first = position / save.blockSize;
  const runs = await depthsOf(save, state, first, first + length / save.blockSize);
  return runs.map(({ count, depth }) => ({ length: count * save.blockSize, depth }));
}

/** What the engine knows a found thing by. */
export function stateOf(found: Found): StateReference {
  if (found.kind === 'volume') return { kind: 'volume', id: found.volume.id };
  if (found.kind === 'branch') return { kind: 'branch', id: found.branch.id };
  return { kind: 'snapshot', id: found.snapshot.id };
}
