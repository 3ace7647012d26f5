/** Goal: schedules are set, listed and ended from the command line, with and without --json. */
import { expect, test } from 'vitest';
import { palIn, scratch } from './fake-terminal.js';

test('a schedule is set, listed and removed', async () => {
  const store = `${await scratch()}/store`;
  const pal = palIn({ cwd: await scratch() });
  const run = (...args: string[]) => pal(...args, '--store', store);
  await run('init');
  await run('volume', 'create', 'prod', '--size', '1M');
  expect((await run('schedule', 'list')).err).toContain('pal schedule set VOLUME');
  const set = await run('schedule', 'set', 'prod', '--every', '1h', '--keep', '24');
  expect(set.code).toBe(0);
  expect(set.out).toMatch(/prod +3600s +24/);
  const listed = await run('schedule', 'list', '--json');
  expect(JSON.parse(listed.out).items).toMatchObject([{ target: 'prod', keep: 24 }]);
  const wrong = await run('schedule', 'set', 'prod', '--every', 'soon', '--keep', '24');
  expect(wrong).toMatchObject({ code: 2 });
  expect((await run('schedule', 'set', 'prod', '--every', '1s', '--keep', '24')).code).toBe(2);
  await run('schedule', 'remove', 'prod');
  expect(JSON.parse((await run('schedule', 'list', '--json')).out).items).toEqual([]);
});
