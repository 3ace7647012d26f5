/**
 * Timing inside one process. What else the machine does only adds to a time, and adds to all points
 * of a curve alike when they take turns: so every round measures every point once, and a curve's point
 * is the least of its rounds.
 */
import { spread } from '../lib/findings.mjs';

const nowUs = () => Number(process.hrtime.bigint()) / 1000;

/** Microseconds that each of `count` calls took until its promise resolved, in order of length. */
export async function latencies(count, work) {
  const taken = new Float64Array(count);
  for (let index = 0; index < count; index += 1) {
    const start = nowUs();
    await work(index);
    taken[index] = nowUs() - start;
  }
  return taken.sort();
}

/** The value below which `share` of the sorted values lie. */
export const percentile = (sorted, share) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];

/** Microseconds that `work` took. */
export async function timed(work) {
  const start = nowUs();
  await work();
  return nowUs() - start;
}

/**
 * `measure(point)` for every point in each round; its answers are objects of numbers. For each name
 * in them the spread over the rounds, by point. One round before them is not counted: the engine
 * meets the code for the first time.
 */
export async function inTurns(points, rounds, measure) {
  const answers = points.map(() => []);
  for (let round = -1; round < rounds; round += 1) {
    for (const [index, point] of points.entries()) {
      const answer = await measure(point);
      if (round >= 0) answers[index].push(answer);
    }
  }
  return answers.map((each) =>
    Object.fromEntries(
      Object.keys(each[0]).map((name) => [name, spread(each.map((answer) => answer[name]))]),
    ),
  );
}

/** Numbers that look random and are the same in every run. */
export function generator(seed) {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Bytes of the volumes that a curve against size has, and what its axis says of them. */
export const SIZES = [2 ** 26, 2 ** 30, 2 ** 40, 2 ** 44];
export const LARGEST = 2 ** 44;
export const IN_GIB = { axis: 'volume, GiB', at: (bytes) => bytes / 2 ** 30 };
