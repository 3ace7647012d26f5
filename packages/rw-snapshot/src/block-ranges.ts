/**
 * Ranges of blocks that come in order, from several places at once, as one list: ascending, merged,
 * and never more than one range of each place in memory.
 */

/** Blocks from `first` on. */
export interface BlockRange {
  readonly first: number;
  readonly count: number;
}

/**
 * The union of ascending lists of ranges, ascending; ranges that touch or overlap are one. Nothing
 * from block `end` on.
 */
export async function* mergedRanges(
  lists: readonly AsyncIterable<BlockRange>[],
  end: number,
): AsyncGenerator<BlockRange> {
  const iterators = lists.map((list) => list[Symbol.asyncIterator]());
  try {
    const heads: (BlockRange | undefined)[] = [];
    for (const iterator of iterators) heads.push(await next(iterator));
    let first = 0;
    let last = 0;
    for (;;) {
      let least = -1;
      for (const [index, head] of heads.entries()) {
        if (head === undefined) continue;
        if (least < 0 || head.first < (heads[least] as BlockRange).first) least = index;
      }
      const range = least < 0 ? undefined : heads[least];
      if (range === undefined || range.first >= end) break;
      if (range.first > last) {
        if (last > first) yield { first, count: last - first };
        first = range.first;
        last = range.first;
      }
      last = Math.max(last, Math.min(end, range.first + range.count));
      heads[least] = await next(iterators[least] as AsyncIterator<BlockRange>);
    }
    if (last > first) yield { first, count: last - first };
  } finally {
    for (const iterator of iterators) await iterator.return?.();
  }
}

/** Blocks in order, as ranges. */
export async function* rangesOf(
  lists: AsyncIterable<readonly number[]>,
): AsyncGenerator<BlockRange> {
  let first = 0;
  let count = 0;
  for await (const blocks of lists) {
    for (const block of blocks) {
      if (count > 0 && block === first + count) count += 1;
      else {
        if (count > 0) yield { first, count };
        first = block;
        count = 1;
      }
    }
  }
  if (count > 0) yield { first, count };
}

/** One range, or none when it is empty. */
export async function* oneRange(first: number, end: number): AsyncGenerator<BlockRange> {
  if (end > first) yield { first, count: end - first };
}

async function next(iterator: AsyncIterator<BlockRange>): Promise<BlockRange | undefined> {
  const result = await iterator.next();
  return result.done === true ? undefined : result.value;
}
