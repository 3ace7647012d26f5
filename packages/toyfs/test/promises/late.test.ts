/**
 * Goal: G1, K1, O1 and O2 where the Vfs answers late, so that calls come between each other's steps.
 * Method: many calls at once on a Vfs that is late by chance, for several seeds.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { type FsPromises, fsPromises } from '../../src/index.js';
import { lateVfs, MemoryVfs } from '../../src/testing/index.js';

const SEEDS = [1, 2, 3, 4, 5];

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe.each(SEEDS)('late answers, seed %i', (seed) => {
  let fs: FsPromises;
  let random: () => number;

  beforeEach(() => {
    random = generator(seed);
    fs = fsPromises(lateVfs(new MemoryVfs(), random));
  });

  test('O2: appends by many do not overwrite each other', async () => {
    const lines = Array.from({ length: 40 }, (_, i) => `line ${i};`);
    await Promise.all(lines.map((line) => fs.appendFile('/log', line)));
    const written = (await fs.readFile('/log', 'utf8')).split(';').filter((line) => line !== '');
    expect(written.toSorted()).toEqual(lines.map((line) => line.slice(0, -1)).toSorted());
  });

  test('O1: reads at the position share the file out, writes at the position queue up', async () => {
    await fs.writeFile('/f', 'abcdefghijklmnopqrstuvwxyz');
    await using handle = await fs.open('/f', 'r+');
    const reads = await Promise.all(Array.from({ length: 13 }, () => handle.read(Buffer.alloc(2))));
    expect(reads.map(({ buffer }) => buffer.toString()).join('')).toBe(
      'abcdefghijklmnopqrstuvwxyz',
    );
    await using other = await fs.open('/g', 'w');
    await Promise.all([...'0123456789'].map((digit) => other.write(digit)));
    expect(await fs.readFile('/g', 'utf8')).toBe('0123456789');
  });

  test('a name that is replaced again and again is always there', async () => {
    await fs.writeFile('/name', 'old');
    let isDone = false;
    const replacing = (async () => {
      for (let i = 0; i < 60; i++) {
        await fs.writeFile('/next', `new ${i}`);
        await fs.rename('/next', '/name');
      }
      isDone = true;
    })();
    while (!isDone) {
      expect((await fs.stat('/name')).isFile()).toBe(true);
      expect((await fs.readFile('/name', 'utf8')).length).toBeGreaterThanOrEqual(3);
    }
    await replacing;
  });

  test('K1: what is changed through a path is never another inode that got the number', async () => {
    await fs.writeFile('/victim', '');
    await Promise.all(
      Array.from({ length: 60 }, async (_, i) => {
        const [name, mine] = [`/short-${i}`, `/private-${i}`];
        await fs.writeFile(name, '');
        const changing = fs.chmod(name, 0o777).catch((error: { code: string }) => {
          expect(error.code).toBe('ENOENT');
        });
        await fs.unlink(name);
        await fs.writeFile(mine, '', { mode: 0o600 }); // takes the number, when it is free
        await changing;
        expect((await fs.stat(mine)).mode & 0o777).toBe(0o600);
      }),
    );
  });

  test('of many that make the same name exclusively one succeeds; open to write finds one file', async () => {
    const made = await Promise.allSettled(
      Array.from({ length: 12 }, () => fs.writeFile('/one', 'x', { flag: 'wx' })),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const handles = await Promise.all(Array.from({ length: 12 }, () => fs.open('/shared', 'a')));
    const numbers = await Promise.all(handles.map(async (handle) => (await handle.stat()).ino));
    expect(new Set(numbers).size).toBe(1);
    await Promise.all(handles.map((handle) => handle.close()));
  });

  test('mkdir and rm of the same trees by many end well', async () => {
    await Promise.all(Array.from({ length: 6 }, () => fs.mkdir('/a/b/c/d', { recursive: true })));
    expect(await fs.readdir('/', { recursive: true })).toEqual(['a', 'a/b', 'a/b/c', 'a/b/c/d']);
    await Promise.all(
      Array.from({ length: 6 }, () => fs.rm('/a', { recursive: true, force: true })),
    );
    expect(await fs.readdir('/')).toEqual([]);
  });
});

test('K1: what is found at once and opened late is not another inode that got the number', async () => {
  const memory = new MemoryVfs();
  const others = fsPromises(memory);
  await others.writeFile('/open', 'for all');
  const { ino } = await others.stat('/open');
  let meanwhile = async (): Promise<void> => {
    meanwhile = async () => undefined;
    await others.unlink('/open');
    await others.writeFile('/private', 'for one');
    expect((await others.stat('/private')).ino).toBe(ino);
  };
  const slow = new Proxy(memory, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown;
      if (typeof value !== 'function') return value;
      if (name !== 'open') return value.bind(target);
      return async (number: number) => {
        await meanwhile();
        await target.open(number);
      };
    },
  });
  await expect(fsPromises(slow).readFile('/open')).rejects.toMatchObject({ code: 'ENOENT' });
});
