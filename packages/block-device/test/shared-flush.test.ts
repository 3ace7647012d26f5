/** A flush covers what was written before it was asked for, and as few as possible are made. */
import { expect, test } from 'vitest';
import { type BlockDevice, checked, createMemoryDevice, SharedFlush } from '../src/index.js';

/** A device whose flushes end when told to. */
function slowFlushes(): { device: BlockDevice; ends: ((error?: Error) => void)[] } {
  const memory = createMemoryDevice({ size: 4096 });
  const ends: ((error?: Error) => void)[] = [];
  const device = checked({
    blockSize: 4096,
    size: 4096,
    readOnly: false,
    readInto: (target, position) => memory.readInto(target, position),
    write: (source, position) => memory.write(source, position),
    flush: () =>
      new Promise((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      }),
    close: () => memory.close(),
  });
  return { device, ends };
}

const turns = async () => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

test('those who come while one runs share the next, which begins after it', async () => {
  const { device, ends } = slowFlushes();
  const shared = new SharedFlush(device);
  const first = shared.flush();
  const done: string[] = [];
  const second = Promise.resolve(shared.flush()).then(() => done.push('second'));
  const third = Promise.resolve(shared.flush()).then(() => done.push('third'));
  expect(ends).toHaveLength(1);
  ends[0]?.();
  await first;
  await turns();
  expect([ends.length, done]).toEqual([2, []]);
  ends[1]?.();
  await Promise.all([second, third]);
  expect([ends.length, done]).toEqual([2, ['second', 'third']]);
});

// A device that tried again would wait here for an end that nobody tells it: hence the watchdog.
test('a failure is told to those who shared it, and the device refuses the next (D5)', {
  timeout: 5000,
}, async () => {
  const { device, ends } = slowFlushes();
  const shared = new SharedFlush(device);
  const first = Promise.resolve(shared.flush());
  const second = Promise.resolve(shared.flush());
  ends[0]?.(new Error('the disk is gone'));
  await expect(first).rejects.toThrow('the disk is gone');
  await expect(second).rejects.toMatchObject({ code: 'ERR_FAILED' });
  expect(ends).toHaveLength(1);
});
