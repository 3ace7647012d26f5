/**
 * Goal: what Node's API has no words for, the forms with callbacks, streams by path, and watching.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { type NodeFs, nodeFs } from '../../src/index.js';
import { MemoryVfs } from '../../src/testing/index.js';

let fs: NodeFs;

beforeEach(async () => {
  fs = nodeFs(new MemoryVfs());
  await fs.promises.mkdir('/d/e', { recursive: true });
  await fs.promises.writeFile('/d/f', 'content');
});

const called = <T>(
  act: (callback: (error: unknown, ...results: T[]) => void) => void,
): Promise<T[]> =>
  new Promise((resolve, reject) => {
    act((error, ...results) => (error === null ? resolve(results) : reject(error)));
  });

test('space: holes are found, made and filled', async () => {
  await using handle = await fs.promises.open('/d/sparse', 'w+');
  await handle.write('end', 1_000_000);
  expect(await handle.seekData(0)).toBe(Math.floor(1_000_000 / 4096) * 4096);
  expect(await handle.seekHole(0)).toBe(0);
  await handle.fallocate(0, 8192);
  expect(await handle.seekHole(0)).toBe(8192);
  await handle.punchHole(0, 4096);
  expect(await handle.seekData(0)).toBe(4096);
  await expect(handle.seekData(2_000_000)).rejects.toMatchObject({
    code: 'ENXIO',
    syscall: 'lseek',
  });
  const before = (await fs.promises.stat('/d/sparse')).blocks;
  await fs.promises.copyFile('/d/sparse', '/d/copy');
  expect((await fs.promises.stat('/d/copy')).blocks).toBeLessThanOrEqual(before);
  expect(await fs.promises.readFile('/d/copy')).toEqual(await fs.promises.readFile('/d/sparse'));
});

test('xattrs', async () => {
  const { getxattr, setxattr, listxattr, removexattr } = fs.promises;
  await setxattr('/d/f', 'user.a', 'one', { create: true });
  await expect(setxattr('/d/f', 'user.a', '', { create: true })).rejects.toMatchObject({
    code: 'EEXIST',
  });
  await expect(setxattr('/d/f', 'user.b', '', { replace: true })).rejects.toMatchObject({
    code: 'ENODATA',
  });
  await expect(setxattr('/d/f', 'system.b', '')).rejects.toMatchObject({
    code: 'ENOTSUP',
    errno: -95,
  });
  expect(await getxattr('/d/f', 'user.a')).toEqual(Buffer.from('one'));
  expect(await listxattr('/d/f')).toEqual(['user.a']);
  await removexattr('/d/f', 'user.a');
  await expect(getxattr('/d/f', 'user.a')).rejects.toMatchObject({
    message: "ENODATA: no data available, getxattr '/d/f'",
  });
});

test('frozen, changes wait and reads go on', async () => {
  await fs.promises.freeze();
  await expect(fs.promises.freeze()).rejects.toMatchObject({ code: 'EBUSY' });
  let isWritten = false;
  const writing = fs.promises.writeFile('/d/new', 'x').then(() => {
    isWritten = true;
  });
  expect(await fs.promises.readFile('/d/f', 'utf8')).toBe('content');
  expect(isWritten).toBe(false);
  await fs.promises.thaw();
  await writing;
  expect(await fs.promises.readFile('/d/new', 'utf8')).toBe('x');
});

test('what may be absent is asked for without a failure', async () => {
  const { stat, lstat } = fs.promises;
  expect(await stat('/none', { throwIfNoEntry: false })).toBe(undefined);
  expect(await lstat('/d/f/none', { throwIfNoEntry: false, bigint: true })).toBe(undefined);
  await expect(stat(`/${'n'.repeat(256)}`, { throwIfNoEntry: false })).rejects.toThrow(
    'ENAMETOOLONG',
  );
});

describe('callbacks', () => {
  test('results and failures', async () => {
    expect(await called((done) => fs.readFile('/d/f', 'utf8', done))).toEqual(['content']);
    expect(await called((done) => fs.mkdir('/m', done))).toEqual([undefined]);
    await expect(called((done) => fs.stat('/none', done))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    await new Promise<void>((resolve) =>
      fs.exists('/none', (is) => resolve(expect(is).toBe(false))),
    );
    expect(() => fs.readFile('/d/f')).toThrow('The "cb" argument must be of type function');
  });

  test('descriptors are numbers, the lowest free one first', async () => {
    const [fd] = await called<number>((done) => fs.open('/d/f', 'r+', done));
    const [other] = await called<number>((done) => fs.open('/d/f', done));
    expect([fd, other]).toEqual([3, 4]);
    const buffer = Buffer.alloc(3);
    expect(await called((done) => fs.read(fd, buffer, 0, 3, 1, done))).toEqual([3, buffer]);
    expect(buffer.toString()).toBe('ont');
    await called((done) => fs.write(fd, 'XY', 2, done));
    await called((done) => fs.ftruncate(fd, 5, done));
    const [stats] = await called<{ size: number }>((done) => fs.fstat(fd, done));
    expect(stats?.size).toBe(5);
    await called((done) => fs.close(fd, done));
    await expect(called((done) => fs.fstat(fd, done))).rejects.toMatchObject({
      message: 'EBADF: bad file descriptor, fstat',
    });
    expect(await called((done) => fs.open('/d/f', done))).toEqual([3]);
  });
});

describe('streams by path', () => {
  test('copy a file', async () => {
    const target = fs.createWriteStream('/d/copy', { flush: true });
    fs.createReadStream('/d/f', { highWaterMark: 2 }).pipe(target);
    await new Promise((resolve) => target.on('close', resolve));
    expect(await fs.promises.readFile('/d/copy', 'utf8')).toBe('content');
    expect(target.bytesWritten).toBe(7);
  });

  test('a part, a missing file, and nothing left open', async () => {
    const events: string[] = [];
    const stream = fs.createReadStream('/d/f', { start: 1, end: 3, encoding: 'utf8' });
    for (const name of ['open', 'ready', 'end', 'close']) stream.on(name, () => events.push(name));
    let read = '';
    for await (const part of stream) read += part;
    await new Promise((resolve) => setImmediate(resolve));
    expect([read, events.join()]).toEqual(['ont', 'open,ready,end,close']);
    const failure = await new Promise((resolve) =>
      fs.createReadStream('/none').on('error', resolve),
    );
    expect(failure).toMatchObject({ code: 'ENOENT', syscall: 'open', path: '/none' });
    await using handle = await fs.promises.open('/d/f');
    expect(handle.fd).toBe(3);
  });
});

test('a closed handle makes no streams; one web stream at a time', async () => {
  const handle = await fs.promises.open('/d/f');
  handle.readableWebStream();
  expect(() => handle.readableWebStream()).toThrow('Invalid state: The FileHandle is locked');
  await handle.close();
  expect(() => handle.readableWebStream()).toThrow('Invalid state: The FileHandle is closed');
  expect(() => handle.createReadStream()).toThrow(RangeError);
  expect(() => handle.createWriteStream()).toThrow(RangeError);
});

describe('watch', () => {
  /** What is told while `act` runs. */
  async function told(
    path: string,
    act: () => Promise<unknown>,
    options?: { recursive: boolean },
  ): Promise<string[]> {
    const stop = new AbortController();
    const changes: string[] = [];
    const watching = (async () => {
      const iterator = fs.promises.watch(path, { ...options, signal: stop.signal });
      for await (const { eventType, filename } of iterator)
        changes.push(`${eventType} ${filename}`);
    })();
    await new Promise((resolve) => setImmediate(resolve));
    await act();
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await expect(watching).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR' });
    return changes;
  }

  test('a directory tells its names', async () => {
    const { promises } = fs;
    const changes = await told('/d', async () => {
      await promises.appendFile('/d/f', '!');
      await promises.chmod('/d/f', 0o600);
      await promises.rename('/d/f', '/d/g');
      await promises.appendFile('/d/g', '!');
      await promises.rename('/d/g', '/elsewhere');
      await promises.appendFile('/elsewhere', '!');
      await promises.writeFile('/d/e/inside', '');
      await promises.rmdir('/d/e').catch(() => promises.rm('/d/e', { recursive: true }));
    });
    expect(changes).toEqual([
      ...['change f', 'change f', 'rename f', 'rename g', 'change g', 'rename g', 'rename e'],
    ]);
  });

  test('recursively, also in directories that come, and under the names they get', async () => {
    const { promises } = fs;
    const changes = await told(
      '/d',
      async () => {
        await promises.mkdir('/d/e/new');
        await promises.writeFile('/d/e/new/file', '1');
        await promises.rename('/d/e', '/d/moved');
        await promises.appendFile('/d/moved/new/file', '2');
      },
      { recursive: true },
    );
    expect(changes).toEqual([
      'rename e/new',
      'rename e/new/file',
      'change e/new/file',
      'rename e',
      'rename moved',
      'change moved/new/file',
    ]);
  });

  test('a file, until it is removed or replaced', async () => {
    const { promises } = fs;
    expect(
      await told('/d/f', async () => {
        await promises.writeFile('/d/f', 'new');
        await promises.writeFile('/d/other', '');
        await promises.rename('/d/other', '/d/f');
      }),
    ).toEqual(['change f', 'change f', 'rename f']);
  });

  test('what is not there', async () => {
    await expect(fs.promises.watch('/none').next()).rejects.toMatchObject({
      message: "ENOENT: no such file or directory, watch '/none'",
    });
  });

  test('a listener that throws does not stop who makes the change', async () => {
    const seen: string[] = [];
    const watcher = fs.watch('/d', (type: string, name: string | Buffer) => {
      seen.push(`${type} ${name}`);
    });
    await fs.promises.writeFile('/d/n', '');
    await new Promise((resolve) => setImmediate(resolve));
    watcher.close();
    await fs.promises.unlink('/d/n');
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['rename n']);
  });
});
