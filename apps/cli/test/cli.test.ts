/**
 * Goal: the command line says the same, with the same exit codes, whether a daemon serves the store or
 * not. Method: one list of sessions, run in both ways.
 */
import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, serveStore } from '@palimpsest/server';
import { afterEach, describe, expect, test } from 'vitest';
import { type Outcome, palIn, type Setting, scratch } from './fake-terminal.js';

const servers: RunningServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

type Pal = (...args: string[]) => Promise<Outcome>;

/** A folder with a store in it, served or not. */
async function start(
  mode: 'direct' | 'daemon',
  setting: Omit<Setting, 'cwd'> = {},
): Promise<{ readonly folder: string; readonly pal: Pal }> {
  const folder = await scratch();
  const pal = palIn({ ...setting, cwd: folder });
  expect(await pal('init')).toMatchObject({ code: 0 });
  if (mode === 'daemon') {
    servers.push(await serveStore({ dir: path.join(folder, 'palimpsest-store') }));
  }
  return { folder, pal };
}

const done = (out: string): Partial<Outcome> => ({ code: 0, out });

describe.each(['direct', 'daemon'] as const)('%s', (mode) => {
  test('a first session', async () => {
    const { folder, pal } = await start(mode);
    expect(await pal('volume', 'list')).toEqual({
      code: 0,
      out: '',
      err: 'no volumes yet; make one: pal volume create NAME --size 64M\n',
    });
    expect(await pal('volume', 'create', 'prod', '--size', '1M')).toMatchObject(done('prod\n'));
    expect(await pal('snapshot', 'create', 'prod@monday', '-m', 'first')).toMatchObject(
      done('prod@monday\n'),
    );
    expect(await pal('branch', 'create', 'dev', '--from', 'prod@latest')).toMatchObject(
      done('prod/dev\n'),
    );
    const listed = await pal('volume', 'list');
    expect(listed.out.split('\n')[0]).toMatch(/^VOLUME +SIZE +SNAPSHOTS +BRANCHES +STATE/);
    expect(listed.out.split('\n')[1]).toMatch(/^prod +1 MiB +1 +1 +available/);
    expect((await pal('snapshot', 'list', 'prod')).out).toMatch(/prod@monday .* first\n/);
    expect(await pal('branch', 'list', '-q')).toMatchObject(done('prod/dev\n'));
    const status = await pal('status');
    expect(status.out).toContain(`${path.join(folder, 'palimpsest-store')} (`);
    expect(status.out).toMatch(mode === 'daemon' ? /served +by process/ : /served +no/);
  });

  test('with --json, stdout is one document, and failures are one on stderr', async () => {
    const { pal } = await start(mode);
    const made = await pal('--json', 'volume', 'create', 'prod', '--size', '1M');
    expect(JSON.parse(made.out)).toMatchObject({
      schema: 'palimpsest/1',
      kind: 'Volume',
      reference: 'prod',
      size: 1_048_576,
      state: 'available',
    });
    expect(made.err).toBe('');
    await pal('snapshot', 'create', 'prod@a', '--json', '-m', 'two\nlines');
    expect(JSON.parse((await pal('snapshot', 'list', '--json')).out)).toMatchObject({
      kind: 'SnapshotList',
      items: [{ reference: 'prod@a', message: 'two\nlines', branches: [] }],
    });
    expect(JSON.parse((await pal('status', '--json')).out)).toMatchObject({
      kind: 'Status',
      volumes: 1,
      exports: [{ name: 'prod' }, { name: 'prod@a', readOnly: true }],
    });
    const failed = await pal('snapshot', 'delete', 'prod@none', '--json', '--yes');
    expect(failed).toMatchObject({ code: 3, out: '' });
    expect(JSON.parse(failed.err)).toMatchObject({
      kind: 'Error',
      error: { code: 'ERR_NOT_FOUND' },
    });
  });

  test('what destroys asks; nobody there means no; --yes and --dry-run do without', async () => {
    const { pal } = await start(mode);
    await pal('volume', 'create', 'prod', '--size', '1M');
    await pal('snapshot', 'create', 'prod@a');
    await pal('branch', 'create', 'dev', '--from', 'prod@a');

    const refused = await pal('branch', 'delete', 'prod/dev');
    expect(refused).toMatchObject({ code: 2, out: '' });
    expect(refused.err).toContain('--yes');
    expect(await pal('branch', 'delete', 'prod/dev', '--dry-run')).toMatchObject({
      code: 0,
      out: 'prod/dev\n',
      err: 'nothing was done; this would go:\n',
    });
    expect(await pal('branch', 'list', '-q')).toMatchObject(done('prod/dev\n'));

    // Reasons against it come before any question.
    expect(await pal('snapshot', 'delete', 'prod@a')).toMatchObject({ code: 4 });
    expect(await pal('volume', 'release', 'prod')).toMatchObject({ code: 4 });
    expect(await pal('volume', 'release', 'prod', '--drop-snapshots')).toMatchObject({ code: 2 });
    expect(await pal('branch', 'delete', 'prod/dev', '-y')).toMatchObject(done('prod/dev\n'));
    expect(await pal('snapshot', 'delete', 'prod@latest', '-y')).toMatchObject(done('prod@a\n'));
    // Alone, the volume is given back without a question: its image keeps every byte.
    expect(await pal('volume', 'release', 'prod')).toMatchObject(done('prod\n'));
  });

  test.each([
    ['y', 'prod/dev\n', ''],
    ['YES', 'prod/dev\n', ''],
    ['n', '', 'prod/dev\n'],
    ['', '', 'prod/dev\n'],
    ['yellow', '', 'prod/dev\n'],
  ])('a person who answers %j', async (answer, removed, left) => {
    const { pal } = await start(mode, { answer });
    await pal('volume', 'create', 'prod', '--size', '1M');
    await pal('snapshot', 'create', 'prod@a');
    await pal('branch', 'create', 'dev', '--from', 'prod@a');
    const outcome = await pal('branch', 'delete', 'prod/dev');
    expect(outcome).toMatchObject(done(removed));
    expect(outcome.err).toContain('Remove prod/dev? [y/N]');
    expect(await pal('branch', 'list', '-q')).toMatchObject(done(left));
  });

  test('progress is told in words, drawn on a terminal, and data under --json', async () => {
    const args = ['volume', 'create', 'v', '--size', '1M', '--allocate'];
    expect((await (await start(mode)).pal(...args)).err).toMatch(/^allocating\.\.\.\n/);
    const drawn = await (await start(mode, { canDraw: true })).pal(...args);
    expect(drawn.err).toContain('allocating [########################] 1 MiB of 1 MiB');
    const told = await (await start(mode)).pal(...args, '--json');
    expect(JSON.parse(told.err.split('\n')[0] ?? '')).toEqual({
      type: 'progress',
      phase: 'allocating',
      done: 1_048_576,
      total: 1_048_576,
      unit: 'bytes',
    });
  });

  test('an image is adopted from where the command was typed, and released again', async () => {
    const { folder, pal } = await start(mode);
    await writeFile(path.join(folder, 'disk.img'), new Uint8Array(8192).fill(3));
    const adopted = await pal('volume', 'adopt', 'disk.img', '--json');
    expect(JSON.parse(adopted.out)).toMatchObject({
      name: 'disk',
      path: path.join(folder, 'disk.img'),
      origin: 'adopted',
    });
    expect((await pal('volume', 'release', 'disk')).err).toContain('plain raw image again');
    await writeFile(path.join(folder, 'my disk.img'), new Uint8Array(8192));
    expect(await pal('volume', 'adopt', 'my disk.img')).toMatchObject({ code: 2 });
    expect(await pal('volume', 'adopt', 'my disk.img', '--name', 'mine')).toMatchObject({
      code: 0,
    });
  });

  test.each<[string, readonly string[], number, RegExp]>([
    ['a slash', ['volume', 'create', 'a/b', '--size', '1M'], 2, /it has a slash/],
    ['a control character', ['volume', 'create', 'a\u001bb', '--size', '1M'], 2, /control char/],
    ['a snapshot called an age', ['snapshot', 'create', 'prod@2h'], 2, /pal snapshot create prod/],
    ['no size', ['volume', 'create', 'v', '--size', 'lots'], 2, /"lots" is not a size/],
    ['no whole blocks', ['volume', 'create', 'v', '--size', '5000'], 2, /5000 bytes.*use 8192/],
    ['an odd image', ['volume', 'adopt', 'odd.img'], 2, /truncate -s 8192/],
    ['a missing image', ['volume', 'adopt', 'none.img'], 3, /there is no file/],
    ['a directory', ['volume', 'adopt', '.', '--name', 'x'], 2, /is a directory/],
    ['a taken name', ['volume', 'create', 'prod', '--size', '1M'], 4, /already/],
    ['an unknown volume', ['snapshot', 'create', 'nope'], 3, /pal volume list/],
    ['an unknown snapshot', ['branch', 'create', 'b', '--from', 'prod@no'], 3, /pal snapshot/],
    ['an unknown branch', ['branch', 'delete', 'prod/no', '-y'], 3, /pal branch list prod/],
    [
      'no snapshot yet',
      ['branch', 'create', 'b', '--from', 'prod@latest'],
      3,
      /snapshot create prod/,
    ],
    ['an escape in a reference', ['branch', 'delete', 'prod/\u001b[2J'], 2, /control char/],
  ])('%s is refused with its exit code and the next step', async (_what, args, code, words) => {
    const { folder, pal } = await start(mode);
    await writeFile(path.join(folder, 'odd.img'), new Uint8Array(5000));
    await pal('volume', 'create', 'prod', '--size', '1M');
    const outcome = await pal(...args);
    expect(outcome).toMatchObject({ code, out: '', err: expect.stringMatching(words) });
    expect(outcome.err.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    expect(await pal('volume', 'list', '-q')).toMatchObject(done('prod\n'));
  });
});

describe('without a daemon', () => {
  test('where there is no store, and where there is one already', async () => {
    const pal = palIn({ cwd: await scratch() });
    expect(await pal('volume', 'list')).toMatchObject({
      code: 3,
      err: expect.stringContaining('pal init'),
    });
    expect(await pal('init', 'here')).toMatchObject({ code: 0 });
    expect(await pal('init', 'here')).toMatchObject({
      code: 4,
      err: expect.stringContaining('pal serve --store'),
    });
  });

  test('the store is named by option, by environment, or is the default', async () => {
    const cwd = await scratch();
    const pal = palIn({ cwd, env: { PALIMPSEST_STORE: 'by-env' } });
    expect(await pal('init')).toMatchObject(done(`${cwd}/by-env\n`));
    expect(await pal('init', '--store', 'by-option')).toMatchObject(done(`${cwd}/by-option\n`));
    expect(await pal('--store', 'before', 'init')).toMatchObject(done(`${cwd}/before\n`));
    const plain = palIn({ cwd, env: { PALIMPSEST_STORE: '' } });
    expect(await plain('init')).toMatchObject(done(`${cwd}/palimpsest-store\n`));
  });

  test('a save volume that is not one, is damaged, or was cut harms nothing', async () => {
    const { folder, pal } = await start('direct');
    await pal('volume', 'create', 'prod', '--size', '1M');
    const save = path.join(folder, 'palimpsest-store/save.pal');
    await truncate(save, 10_000);
    expect(await pal('volume', 'list')).toMatchObject({
      code: 7,
      err: expect.stringMatching(/truncated.*10000 bytes/),
    });
    await truncate(save, 8192);
    expect(await pal('volume', 'list')).toMatchObject({ code: 7 });
    await truncate(save, 0);
    expect(await pal('volume', 'list')).toMatchObject({ code: 7 });
    await writeFile(save, new Uint8Array(1 << 20).fill(173));
    expect(await pal('volume', 'list')).toMatchObject({
      code: 7,
      err: expect.stringContaining(save),
    });
  });

  test('an image that shrank or went makes its volume unavailable, and says so', async () => {
    const { folder, pal } = await start('direct');
    await pal('volume', 'create', 'prod', '--size', '1M');
    await pal('volume', 'create', 'other', '--size', '1M');
    await truncate(path.join(folder, 'palimpsest-store/volumes/prod.img'), 4096);
    const listed = await pal('volume', 'list');
    expect(listed.code).toBe(0);
    expect(listed.out).toMatch(/other .* available/);
    expect(listed.out).toMatch(/prod .* unavailable/);
    expect(listed.err).toContain('shrank from 1048576 to 4096 bytes');
    expect(await pal('snapshot', 'create', 'prod')).toMatchObject({ code: 1 });
    expect(await pal('snapshot', 'create', 'other@a')).toMatchObject(done('other@a\n'));
  });
});

describe('the grammar', () => {
  test.each<[readonly string[], RegExp]>([
    [['volum', 'list'], /Did you mean volume\?/],
    [['snapshot', 'creat', 'prod'], /Did you mean create\?/],
    [['volume', 'create', 'v', '--siez', '1M'], /Did you mean --size\?/],
    [['volume', 'create', 'v'], /--size/],
    [['branch', 'create', 'b'], /--from/],
    [['volume', 'create'], /missing required argument 'name'/],
    [['volume', 'list', 'surplus'], /too many arguments/],
    [['serve', '--log-level', 'loud'], /Allowed choices/],
    [['serve', '--tcp', 'nonsense'], /--tcp takes/],
    [['serve', '--tcp', '70000'], /--tcp takes/],
  ])('%j is a usage error that helps', async (args, words) => {
    const { pal } = await start('direct');
    const outcome = await pal(...args);
    expect(outcome).toMatchObject({ code: 2, out: '', err: expect.stringMatching(words) });
    const json = await pal(...args, '--json');
    expect(json).toMatchObject({ code: 2, out: '' });
    expect(JSON.parse(json.err)).toMatchObject({
      kind: 'Error',
      error: { code: 'ERR_INVALID', message: expect.stringMatching(words) },
    });
  });

  test('help and version go to stdout and are no failure', async () => {
    const pal = palIn({ cwd: await scratch() });
    expect(await pal('--help')).toMatchObject({ code: 0, err: '' });
    expect((await pal('volume', 'release', '--help')).out).toContain('--drop-snapshots');
    expect((await pal('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(await pal()).toMatchObject({ code: 2 });
  });
});
