/**
 * Goal: every verb beyond the first session works from the command line, says what it did and how to
 * take it back, and refuses with the next command to type; the same with a daemon and without. Method:
 * short sessions, run in both ways.
 */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, serveStore } from '@palimpsest/server';
import { afterEach, describe, expect, test } from 'vitest';
import { type Outcome, palIn, type Setting, scratch } from './fake-terminal.js';

const servers: RunningServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

type Pal = (...args: string[]) => Promise<Outcome>;

/** A store with a volume, a snapshot and a branch, served or not. `pal` must succeed, `tried` need not. */
async function start(
  mode: 'direct' | 'daemon',
  setting: Omit<Setting, 'cwd'> = {},
): Promise<{ readonly pal: Pal; readonly tried: Pal; readonly folder: string }> {
  const folder = await scratch();
  const tried = palIn({ ...setting, cwd: folder });
  const pal: Pal = async (...args) => {
    const outcome = await tried(...args);
    expect(outcome, args.join(' ')).toMatchObject({ code: 0 });
    return outcome;
  };
  await pal('init');
  if (mode === 'daemon') {
    servers.push(await serveStore({ dir: path.join(folder, 'palimpsest-store') }));
  }
  await pal('volume', 'create', 'prod', '--size', '1M');
  await pal('snapshot', 'create', 'prod@one', '-m', 'first');
  await pal('branch', 'create', 'dev', '--from', 'prod@one');
  return { pal, tried, folder };
}

const json = (outcome: Outcome): Record<string, unknown> => JSON.parse(outcome.out);

describe.each(['direct', 'daemon'] as const)('%s', (mode) => {
  test('a branch is refreshed with any snapshot, and undo brings back what it was', async () => {
    const { pal, tried } = await start(mode);
    await pal('snapshot', 'create', 'prod@two');
    const plan = await pal('branch', 'refresh', 'prod/dev', '--from', 'prod@latest', '--dry-run');
    expect(plan.out).toBe('prod/dev would become prod@two; what it is now would be kept\n');
    const done = await pal('branch', 'refresh', 'prod/dev', '--from', 'prod@latest');
    expect(done.out).toBe('prod/dev\n');
    expect(done.err).toMatch(/is now prod@two\nwhat it was is prod\/dev@dev-before-.*pal undo/);
    const undone = await pal('undo');
    expect(undone.err).toMatch(/took back: operation \d+: refresh of prod\/dev/);
    expect(undone.err).toMatch(/and back again: pal undo \d+/);
    expect(
      await tried('branch', 'refresh', 'prod/dev', '--from', 'prod@two', '--drop'),
    ).toMatchObject({ code: 2, err: expect.stringContaining('lose what it is now') });
    expect(json(await pal('branch', 'list', '--json'))).toMatchObject({
      items: [{ reference: 'prod/dev', snapshots: 2 }],
    });
  });

  test('what was written and what it took is told, to people, programs and Prometheus', async () => {
    const { pal } = await start(mode);
    const told = await pal('stats');
    expect(told.out).toMatch(/^since .*\nusers +read 0 bytes, wrote 0 bytes\n/);
    expect(told.out).toMatch(/\nprod +wrote 0 bytes\nfirst writes +0 blocks: 0 copied out/);
    expect(told.err).toMatch(mode === 'direct' ? /^no daemon serves this store/ : /^$/);
    expect(json(await pal('stats', '--json'))).toMatchObject({
      kind: 'Stats',
      volumes: [{ reference: 'prod', copiedOutBlocks: 0 }],
      cost: { writeAmplification: null },
    });
    const text = (await pal('stats', '--prometheus')).out;
    expect(text).toContain('\npalimpsest_volume_copied_out_blocks_total{volume="prod"} 0\n');
  });

  test('what is deleted can be had back, by its number in the log too', async () => {
    const { pal, tried } = await start(mode);
    const removed = await pal('branch', 'delete', 'prod/dev', '-y');
    expect(removed.err).toMatch(/can be had back until .*: pal undo/);
    expect((await pal('branch', 'list', '-q')).out).toBe('');
    const log = json(await pal('log', '--json')) as {
      items: { id: number; kind: string; by: string; undo: string }[];
    };
    expect(log.items[0]).toMatchObject({
      kind: 'delete',
      undo: 'possible',
      by: expect.stringMatching(/^.+@cli$/),
    });
    await pal('undo', String(log.items[0]?.id));
    expect((await pal('branch', 'list', '-q')).out).toBe('prod/dev\n');
    expect((await pal('log')).out).toMatch(/^OPERATION +AT +BY +WHAT +TARGET +UNDO/);
    await pal('branch', 'delete', 'prod/dev', '-y', '--now');
    expect((await tried('undo')).code).toBe(3);
    expect(await tried('undo', 'x')).toMatchObject({ code: 2 });
  });

  test('a held snapshot is refused with who and why; hidden ones wait for their dependants', async () => {
    const { pal, tried } = await start(mode);
    await pal('snapshot', 'hold', 'prod@one', 'audit', '--reason', 'quarter end');
    const refused = await tried('snapshot', 'delete', 'prod@one', '-y', '--hide');
    expect(refused).toMatchObject({ code: 4 });
    expect(refused.err).toMatch(
      /held by "audit" of .*quarter end.*pal snapshot unhold prod@one audit/,
    );
    expect((await pal('snapshot', 'list')).out).toMatch(/prod@one .* audit /);
    await pal('snapshot', 'unhold', 'prod@one', 'audit');
    expect((await tried('snapshot', 'delete', 'prod@one', '-y')).err).toContain('--hide');
    const hidden = await pal('snapshot', 'delete', 'prod@one', '-y', '--hide');
    expect(hidden.err).toContain('hidden, and goes when these have gone: prod/dev');
    expect((await pal('snapshot', 'list', '-q')).out).toBe('');
  });

  test('a group is taken at one instant, under one name', async () => {
    const { pal } = await start(mode);
    await pal('volume', 'create', 'db', '--size', '1M');
    const taken = await pal(
      'group',
      'snapshot',
      'prod',
      'db',
      'prod/dev',
      '--name',
      'both',
      '-m',
      'x',
    );
    expect(taken.out).toBe('prod@both\ndb@both\nprod/dev@both\n');
    const { items } = json(await pal('snapshot', 'list', '--json')) as {
      items: { name: string; createdAt: string }[];
    };
    const both = items.filter((each) => each.name === 'both');
    expect(new Set(both.map((each) => each.createdAt)).size).toBe(1);
    expect(both).toHaveLength(3);
  });

  test('names, messages, labels and expiry are changed, and said at creation', async () => {
    const { pal, tried } = await start(mode);
    await pal('snapshot', 'create', 'prod/dev@a', '--label', 'ticket=42', '--expires', '2h');
    const edited = await pal('snapshot', 'edit', 'prod/dev@a', '--name', 'b', '--label', 'x=y=z');
    expect(edited.out).toBe('prod/dev@b\n');
    await pal('snapshot', 'edit', 'prod/dev@b', '-m', 'words', '--expires', 'never');
    expect(json(await pal('snapshot', 'list', 'prod/dev', '--json'))).toMatchObject({
      items: [{ name: 'b', message: 'words', labels: { x: 'y=z' } }],
    });
    await pal('snapshot', 'edit', 'prod/dev@b', '--no-labels');
    expect((await pal('snapshot', 'list', 'prod/dev', '--json')).out).not.toContain('labels');
    expect(await tried('snapshot', 'edit', 'prod/dev@b')).toMatchObject({ code: 2 });
    expect(await tried('snapshot', 'edit', 'prod/dev@b', '--label', 'none')).toMatchObject({
      code: 2,
      err: expect.stringContaining('NAME=VALUE'),
    });
    expect(await tried('snapshot', 'create', 'prod', '--expires', 'soon')).toMatchObject({
      code: 2,
    });
  });

  test('a snapshot is taken again under its name', async () => {
    const { pal } = await start(mode);
    const again = await pal('snapshot', 'refresh', 'prod@one');
    expect(again.err).toMatch(/what it was is prod@one-before-/);
    await pal('undo');
    expect((await pal('snapshot', 'list', 'prod', '-q')).out).toMatch(/prod@one\n/);
  });

  test('the tree shows what stands on what', async () => {
    const { pal, tried } = await start(mode);
    await pal('snapshot', 'create', 'prod/dev@a', '--hold', 'keep');
    await pal('branch', 'create', 'deep', '--from', 'prod/dev@a', '--quota', '64K');
    await pal('snapshot', 'create', 'prod@two');
    const { out } = await pal('ls', '--tree');
    expect(out.replaceAll(/\d{4}-\d\d-\d\d [\d:]+Z/g, 'TIME')).toBe(
      [
        'prod  1 MiB',
        '├─ prod@one  TIME, "first"',
        '│  └─ prod/dev  branch',
        '│     └─ prod/dev@a  TIME, held by keep',
        '│        └─ prod/deep  branch, at most 64 KiB',
        '└─ prod@two  TIME',
        '',
      ].join('\n'),
    );
    expect((await pal('ls', '--flat')).out).toBe(
      'prod\nprod@one\nprod/dev\nprod/dev@a\nprod/deep\nprod@two\n',
    );
    expect(json(await pal('ls', '--json'))).toMatchObject({
      kind: 'Tree',
      items: [{ reference: 'prod', children: [{ children: [{ reference: 'prod/dev' }] }, {}] }],
    });
    expect(await tried('ls', 'nope')).toMatchObject({ code: 2 });
  });

  test('the tree shows what is hidden, and branches that stand on what they were', async () => {
    const { pal } = await start(mode);
    const drawn = async () =>
      (await pal('ls')).out
        .replaceAll(/ {2}\d{4}-\d\d-\d\d [\d:]+Z/g, '')
        .replaceAll(/\d{8}-\d{6}(-\d)?/g, 'T');
    await pal('snapshot', 'create', 'prod@two');
    await pal('snapshot', 'delete', 'prod@one', '--hide', '--yes');
    expect(await drawn()).toBe(
      [
        'prod  1 MiB',
        '├─ prod@two',
        '└─ prod@one  deleted, hidden until what stands on it goes',
        '   └─ prod/dev  branch',
        '',
      ].join('\n'),
    );
    const deleted = { reference: 'prod@one', kind: 'snapshot', hiddenBehind: ['prod/dev'] };
    expect(json(await pal('ls', '--deleted', '--json'))).toMatchObject({ items: [deleted] });
    expect((await pal('ls', '--deleted')).out).toMatch(/^prod@one +snapshot .* prod\/dev$/m);
    await pal('branch', 'refresh', 'prod/dev', '--from', 'prod@two', '--yes');
    await pal('undo', '--yes');
    // Now what the branch was keeps it.
    expect(json(await pal('ls', '--deleted', '--json'))).toMatchObject({
      items: [{ ...deleted, hiddenBehind: [expect.stringMatching(/^prod\/dev@dev-before-/)] }],
    });
    expect(await drawn()).toBe(
      [
        'prod  1 MiB',
        '├─ prod@two',
        '└─ prod/dev  branch of prod/dev@dev-before-T',
        '   ├─ prod/dev@dev-before-T',
        '   └─ prod/dev@dev-before-T',
        '',
      ].join('\n'),
    );
  });

  test('a flatten runs behind the daemon, or here to its end; then the branch stands alone', async () => {
    const { pal } = await start(mode);
    const flattened = await pal('branch', 'flatten', 'prod/dev', '--wait');
    expect(flattened.err).toContain('the flatten of prod/dev is done');
    expect((await pal('branch', 'list')).out).toMatch(/prod\/dev +- /);
    expect((await pal('ls')).out).toContain('prod/dev  branch, independent');
    if (mode === 'daemon') {
      expect((await pal('jobs')).out).toMatch(/flatten +prod\/dev +done/);
      expect((await pal('jobs', '1')).out).toBe('flatten of prod/dev: done\n');
    } else expect((await pal('jobs')).err).toBe('no work is going on\n');
  });

  test('a volume is restored at once, copied back, and undone; a branch is promoted', async () => {
    const { pal, tried } = await start(mode);
    const plan = await pal('restore', 'prod', '--from', 'prod@one', '--dry-run');
    expect(plan.out).toBe('prod would become prod@one; what it is now would be kept\n');
    const done = await pal('restore', 'prod', '--from', 'prod@one', '--wait', '--rate', '100M');
    expect(done.out).toBe('prod\n');
    expect(done.err).toMatch(/prod is now prod@one\nwhat it was is prod@prod-before-.*pal undo/);
    expect(done.err).toContain('the restore of prod is done');
    expect((await pal('restore', 'status')).err).toBe('no restore is being copied back\n');
    await pal('undo');
    const promoted = await pal('promote', 'prod/dev', '--wait', '--json');
    expect(json(promoted)).toMatchObject({ kind: 'Restore', target: 'prod', state: 'done' });
    const kinds = (await pal('log')).out.split('\n').map((line) => line.split(/ {2,}/)[3]);
    expect(kinds.filter((kind) => kind === 'restore')).toHaveLength(3);
    expect(await tried('restore')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--from'),
    });
    expect(await tried('restore', 'prod')).toMatchObject({ code: 2 });
    for (const verb of ['pause', 'resume', 'cancel']) {
      expect(await tried('restore', verb, 'prod')).toMatchObject({ code: 3, out: '' });
    }
    expect(await tried('restore', 'prod', '--from', 'prod@no')).toMatchObject({ code: 3 });
  });

  test('quota, size, settings and verification', async () => {
    const { pal, tried } = await start(mode);
    await pal('branch', 'quota', 'prod/dev', '64K');
    expect((await pal('branch', 'list')).out).toContain('64 KiB');
    await pal('branch', 'quota', 'prod/dev', 'none');
    expect(json(await pal('resize', 'prod', '--size', '2M', '--json'))).toMatchObject({
      kind: 'Volume',
      size: 2 << 20,
    });
    expect((await pal('settings')).out).toMatch(/^full +fail-writes .*\ngrace +1d /);
    const changed = await pal(
      'settings',
      'grace=90m',
      'maximum=1G',
      'high-water=80%',
      'full=drop-oldest',
    );
    expect(changed.out).toMatch(/grace +90m/);
    expect(json(await pal('settings', '--json'))).toMatchObject({
      graceMs: 5_400_000,
      maximumBytes: 1 << 30,
      highWaterPercent: 80,
      fullPolicy: 'drop-oldest',
    });
    for (const wrong of ['grace=soon', 'full', 'colour=red', 'high-water=many', 'full=maybe']) {
      expect(await tried('settings', wrong)).toMatchObject({ code: 2, out: '' });
    }
    expect((await pal('verify', '--data')).out).toMatch(/^0 problems in /);
  });

  test('a volume is deleted when nothing stands on it, and had back', async () => {
    const { pal, tried } = await start(mode);
    expect(await tried('volume', 'delete', 'prod', '-y')).toMatchObject({ code: 4 });
    await pal('volume', 'create', 'other', '--size', '1M');
    await pal('volume', 'delete', 'other', '-y');
    expect((await pal('volume', 'list', '-q')).out).toBe('prod\n');
    await pal('undo');
    expect((await pal('volume', 'list', '-q')).out).toBe('other\nprod\n');
  });
});

test('a flatten that is stopped in this process goes on at the next opening', async () => {
  const { pal, folder } = await start('direct');
  const stopped = await palIn({ cwd: folder, stops: true })('branch', 'flatten', 'prod/dev');
  expect(stopped.err).toMatch(/pausing; it goes on when the store is next opened/);
  await using server = await serveStore({ dir: path.join(folder, 'palimpsest-store') });
  for (const job of server.resumed) await server.store.waitForJob(job.id);
  expect((await pal('ls')).out).toContain('prod/dev  branch, independent');
});

test('a store is checked part by part, sound or damaged, and only while nobody has it open', async () => {
  const { pal, tried, folder } = await start('direct');
  const sound = await pal('store', 'check');
  expect(sound.out).toContain('superblock 0');
  expect(sound.out).not.toContain('BAD');
  await using server = await serveStore({ dir: path.join(folder, 'palimpsest-store') });
  expect(await tried('store', 'check')).toMatchObject({ code: 5 });
  await server.close();
  await writeFile(path.join(folder, 'palimpsest-store/save.pal'), new Uint8Array(1 << 20).fill(7));
  const damaged = await tried('store', 'check', 'palimpsest-store');
  expect(damaged).toMatchObject({ code: 7, out: expect.stringContaining('BAD') });
  expect(await tried('store', 'check', 'nowhere')).toMatchObject({ code: 3 });
});
