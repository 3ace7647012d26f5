/**
 * Goal: the built program does what the README says, with clients that others wrote. Method: plain
 * node on dist, real processes and signals, nbdinfo, qemu-img and qemu-io.
 */
import { execFileSync } from 'node:child_process';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Ended, PATIENCE_MS, PROGRAM, present, type Running, run, start } from './built.js';
import { scratch } from './fake-terminal.js';

const built = present(PROGRAM);
const qemu = present('qemu-io') && present('qemu-img');
const nbdinfo = present('nbdinfo');
const root = process.getuid?.() === 0 && process.platform === 'linux';

/** What is promised for an orderly stop. */
const STOP_MS = 5_000;

const palIn =
  (cwd: string) =>
  (...args: string[]): Promise<Ended> =>
    run(process.execPath, [PROGRAM, ...args], cwd);

const serveIn = async (cwd: string, ...args: string[]): Promise<Running> => {
  const server = start(process.execPath, [PROGRAM, 'serve', ...args], cwd);
  await server.heard(/Ctrl-C stops/);
  return server;
};

const uri = (cwd: string, name: string): string =>
  `nbd+unix:///${name}?socket=${path.join(cwd, 'palimpsest-store/nbd.sock')}`;

async function qemuIo(target: string, ...commands: string[]): Promise<string> {
  const readOnly = target.includes('@') ? ['-r'] : [];
  const args = [...readOnly, ...commands.flatMap((command) => ['-c', command])];
  const ended = await run('qemu-io', ['-f', 'raw', ...args, target]);
  expect(ended).toMatchObject({ code: 0 });
  expect(ended.out).not.toMatch(/failed|error/i);
  return ended.out;
}

/** Fills the save volume's disk with first writes, looks, deletes the snapshot, writes again. */
async function fillAndFree(cwd: string): Promise<void> {
  const pal = palIn(cwd);
  expect(await pal('init')).toMatchObject({ code: 0 });
  expect(await pal('volume', 'adopt', 'prod.img')).toMatchObject({ code: 0 });
  await pal('snapshot', 'create', 'prod@a');
  const server = await serveIn(cwd);
  // 96 MiB of first writes do not fit into a save volume of 72 MiB at most.
  const writes = Array.from({ length: 96 }, (_, index) => ['-c', `write -P 9 ${index}M 1M`]);
  const filled = await run('qemu-io', ['-f', 'raw', ...writes.flat(), uri(cwd, 'prod')]);
  expect(`${filled.out}${filled.err}`).toMatch(/No space left/i);
  const refused = await pal('volume', 'create', 'big', '--size', '512M', '--allocate');
  expect(refused).toMatchObject({ code: 6, out: '' });
  expect(await readdir(path.join(cwd, 'palimpsest-store/volumes'))).toEqual([]);
  // The snapshot is whole, and what the volume holds is old or new, block by block.
  await qemuIo(uri(cwd, 'prod@a'), 'read -P 5 0 96M');
  // Deleting works when it is full, and gives the space back.
  expect(await pal('snapshot', 'delete', 'prod@a', '-y')).toMatchObject({ code: 0 });
  await qemuIo(uri(cwd, 'prod'), 'write -P 9 0 96M', 'flush', 'read -P 9 0 96M');
  expect((await server.stop('SIGINT')).code).toBe(0);
}

describe.runIf(built)('the daemon', () => {
  test.runIf(process.platform === 'linux')(
    'has threads for several disks that hang, set before anything uses the pool',
    async () => {
      const cwd = await scratch();
      await palIn(cwd)('init');
      const threads = async (size: string | undefined): Promise<number> => {
        const before = process.env.UV_THREADPOOL_SIZE;
        if (size !== undefined) process.env.UV_THREADPOOL_SIZE = size;
        const server = await serveIn(cwd);
        if (before === undefined) delete process.env.UV_THREADPOOL_SIZE;
        else process.env.UV_THREADPOOL_SIZE = before;
        const found = (await readdir(`/proc/${server.child.pid}/task`)).length;
        expect((await server.stop('SIGINT')).code).toBe(0);
        return found;
      };
      const [usual, more] = [await threads(undefined), await threads('96')];
      expect(usual).toBeGreaterThanOrEqual(64);
      expect(more - usual).toBe(96 - 64);
    },
    PATIENCE_MS,
  );

  test.runIf(qemu && nbdinfo)(
    'the demo prints three lines that work, stops, and goes on',
    async () => {
      const cwd = await scratch();
      const first = start(process.execPath, [PROGRAM, 'demo'], cwd);
      await first.heard(/snapshot create prod -m "first"/);
      const lines = first.out().trim().split('\n');
      expect(lines).toHaveLength(3);
      const [nbdinfoLine = '', qemuLine = '', palLine = ''] = lines;
      const paste = (line: string): Promise<Ended> => run('sh', ['-c', line], cwd);
      expect(await paste(nbdinfoLine)).toMatchObject({
        code: 0,
        out: expect.stringContaining('export="prod"'),
      });
      expect(await paste(qemuLine)).toMatchObject({
        code: 0,
        out: expect.stringContaining('virtual size: 64 MiB'),
      });
      const taken = await paste(palLine);
      expect(taken.code).toBe(0);
      const snapshot = taken.out.trim();
      // What was just made is served, without a restart.
      expect((await paste(nbdinfoLine)).out).toContain(`export="${snapshot}"`);

      const stopped = await first.stop('SIGINT');
      expect(stopped).toMatchObject({ code: 0, err: expect.stringContaining('stopped') });
      expect(stopped.tookMs).toBeLessThan(STOP_MS);
      expect(stopped.out.trim().split('\n')).toHaveLength(3);

      const second = start(process.execPath, [PROGRAM, 'demo'], cwd);
      await second.heard(/snapshot create prod -m "first"/);
      expect((await paste(nbdinfoLine)).out).toContain(`export="${snapshot}"`);
      expect((await second.stop('SIGTERM')).code).toBe(0);
    },
  );

  test.runIf(qemu)('clients write; snapshot and branches hold what they should', async () => {
    const cwd = await scratch();
    const pal = palIn(cwd);
    await pal('init');
    await pal('volume', 'create', 'prod', '--size', '8M');
    const server = await serveIn(cwd);
    await qemuIo(uri(cwd, 'prod'), 'write -P 11 0 1M', 'flush');
    expect((await pal('snapshot', 'create', 'prod@a')).code).toBe(0);
    await pal('branch', 'create', 'one', '--from', 'prod@a');
    await pal('branch', 'create', 'two', '--from', 'prod@a');
    await qemuIo(uri(cwd, 'prod'), 'write -P 13 0 64k', 'discard 512k 64k', 'flush');
    await qemuIo(uri(cwd, 'prod/one'), 'write -P 17 64k 3k', 'write -z 256k 64k', 'flush');

    const kept = async (): Promise<void> => {
      await qemuIo(uri(cwd, 'prod'), 'read -P 13 0 64k', 'read -P 11 64k 448k');
      await qemuIo(uri(cwd, 'prod@a'), 'read -P 11 0 1M', 'read -P 0 1M 7M');
      await qemuIo(
        uri(cwd, 'prod/one'),
        'read -P 11 0 64k',
        'read -P 17 64k 3k',
        'read -P 11 67k 189k',
        'read -P 0 256k 64k',
      );
      await qemuIo(uri(cwd, 'prod/two'), 'read -P 11 0 1M');
    };
    await kept();
    const refused = await run('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', uri(cwd, 'prod@a')]);
    expect(refused.code).not.toBe(0);

    // Killed without warning, it starts again at once: no stale lock, no stale socket.
    await server.stop('SIGKILL');
    expect(await readdir(path.join(cwd, 'palimpsest-store'))).toContain('nbd.sock');
    const again = await serveIn(cwd);
    await kept();
    expect((await again.stop('SIGTERM')).code).toBe(0);
    expect(await readdir(path.join(cwd, 'palimpsest-store'))).not.toContain('nbd.sock');
  });

  test.runIf(qemu)('what a client has open is not deleted, and the client is named', async () => {
    const cwd = await scratch();
    const pal = palIn(cwd);
    await pal('init');
    await pal('volume', 'create', 'prod', '--size', '1M');
    await pal('snapshot', 'create', 'prod@a');
    await pal('branch', 'create', 'dev', '--from', 'prod@a');
    const server = await serveIn(cwd);
    const client = start('qemu-io', ['-f', 'raw', uri(cwd, 'prod/dev')], cwd);
    client.child.stdin?.write('read 0 4k\n');
    await client.heard(/read 4096/);
    const refused = await pal('branch', 'delete', 'prod/dev', '--yes');
    expect(refused).toMatchObject({
      code: 4,
      err: expect.stringMatching(/prod\/dev to 1 client \(unix#\d+\)/),
    });
    expect((await pal('volume', 'release', 'prod', '--drop-snapshots', '-y')).code).toBe(4);
    expect(JSON.parse((await pal('status', '--json')).out)).toMatchObject({
      clients: [{ exportName: 'prod/dev' }],
    });
    client.child.stdin?.end('quit\n');
    await client.stop('SIGCONT');
    expect((await pal('branch', 'delete', 'prod/dev', '--yes')).code).toBe(0);
    expect((await pal('volume', 'release', 'prod', '--drop-snapshots', '-y')).code).toBe(0);
    expect((await server.stop('SIGINT')).code).toBe(0);
    expect((await stat(path.join(cwd, 'palimpsest-store/volumes/prod.img'))).size).toBe(1 << 20);
  });

  test('it stops in time whatever clients do, and a second process is refused', async () => {
    const cwd = await scratch();
    await palIn(cwd)('init');
    await palIn(cwd)('volume', 'create', 'prod', '--size', '1M');
    const server = await serveIn(cwd, '--tcp', '0');
    const second = await palIn(cwd)('serve');
    expect(second).toMatchObject({ code: 5, err: expect.stringContaining('is in use by') });

    const idle = Array.from({ length: 20 }, (_, index) => {
      const name = index % 2 === 0 ? 'nbd.sock' : 'control.sock';
      const socket = net.connect(path.join(cwd, 'palimpsest-store', name));
      // The server ends them, some in mid-word: that is what is tested.
      socket.on('error', () => undefined);
      if (index % 3 === 0) socket.write('\0\0\0');
      return socket;
    });
    onTestFinished(() => {
      for (const socket of idle) socket.destroy();
    });
    await Promise.all(idle.map((socket) => new Promise((ready) => socket.once('connect', ready))));
    const stopped = await server.stop('SIGTERM');
    expect(stopped.code).toBe(0);
    expect(stopped.tookMs).toBeLessThan(STOP_MS);
  });

  test('a second Ctrl-C ends it at once', async () => {
    const cwd = await scratch();
    await palIn(cwd)('init');
    const server = await serveIn(cwd);
    // Stopped while both are sent, it meets them as one pair.
    server.child.kill('SIGSTOP');
    server.child.kill('SIGINT');
    server.child.kill('SIGTERM');
    const ended = await server.stop('SIGCONT');
    expect([0, 130]).toContain(ended.code);
    const next = await serveIn(cwd);
    expect((await next.stop('SIGINT')).code).toBe(0);
  });

  test.runIf(root && qemu)(
    'a full disk under the save volume fails writes, and only those',
    async () => {
      const cwd = await scratch();
      const disk = path.join(cwd, 'palimpsest-store');
      await mkdir(disk);
      const image = path.join(cwd, 'prod.img');
      await writeFile(image, new Uint8Array(96 << 20).fill(5));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=72m', 'tmpfs', disk]);
      try {
        await fillAndFree(cwd);
      } finally {
        execFileSync('umount', ['-l', disk]);
      }
    },
    2 * PATIENCE_MS,
  );

  test('a command that is not understood says so, with exit code 2', async () => {
    const cwd = await scratch();
    expect(await palIn(cwd)('snapshto')).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringContaining('Did you mean snapshot?'),
    });
  });
});

if (!root) console.warn('SKIPPED: a full disk is made with a tmpfs, which needs root');
