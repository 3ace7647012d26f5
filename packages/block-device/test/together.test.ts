/** A call made of several ends only when all of them have, whatever fails and however. */
import { expect, test } from 'vitest';
import { together } from '../src/index.js';

test('nothing to wait for is done at once', () => {
  expect(together(() => {})).toBeUndefined();
});

test('a failure is told only after the others have ended, and the first one in order', async () => {
  const ended: string[] = [];
  const late = async (name: string, turns: number, error?: Error) => {
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
    ended.push(name);
    if (error !== undefined) throw error;
  };
  const call = together((waits) => {
    waits.push(late('slow', 20, new Error('first')), late('quick', 1, new Error('second')));
    waits.push(late('fine', 40));
  });
  await expect(call).rejects.toThrow('first');
  expect(ended).toEqual(['quick', 'slow', 'fine']);
});

test('what was begun before a throw still ends first; a throw before anything is thrown', async () => {
  let ended = false;
  const call = together((waits) => {
    waits.push(
      (async () => {
        await Promise.resolve();
        ended = true;
      })(),
    );
    throw new Error('in the midst');
  });
  await expect(call).rejects.toThrow('in the midst');
  expect(ended).toBe(true);
  expect(() =>
    together(() => {
      throw new Error('at once');
    }),
  ).toThrow('at once');
});
