/** The shell that runs programs on an open file: SS1 to SS3 with real processes. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { SpaceShell } from '../src/space-shell.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-shell-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

let made = 0;

/** An open file, and a program that writes who started it, and its options, into a log. */
function fixture(body = '') {
  made += 1;
  const file = path.join(folder, `file-${made}`);
  const log = `${file}.log`;
  const program = `${file}.sh`;
  fs.writeFileSync(program, `#!/bin/sh\necho "$PPID $@" >> ${log}\n${body}\n`, { mode: 0o755 });
  const fd = fs.openSync(file, 'w+');
  const lines = () => fs.readFileSync(log, 'utf8').trim().split('\n');
  return { fd, file, program, shell: new SpaceShell(fd, program), lines };
}

const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

/** Waits until it holds, for as long as a test may take. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10);
}

describe.runIf(process.platform === 'linux')('a shell for an open file', () => {
  test('one shell runs the program each time, with the file as its last argument', async () => {
    const { fd, shell, lines } = fixture('cat "$3" >/dev/null && echo seen >> "$3"');
    expect(await shell.run(['-a', '1'])).toBeUndefined();
    expect(await shell.run(['-b', '2'])).toBeUndefined();
    await shell.close();
    const [first, second] = lines().map((line) => line.split(' '));
    expect([first?.slice(1), second?.slice(1)]).toEqual([
      ['-a', '1', '/proc/self/fd/3'],
      ['-b', '2', '/proc/self/fd/3'],
    ]);
    expect(isAlive(Number(first?.[0]))).toBe(false);
    const seen = Buffer.alloc(64);
    expect(seen.toString('utf8', 0, fs.readSync(fd, seen, 0, 64, 0))).toBe('seen\nseen\n');
    fs.closeSync(fd);
  });

  test('complaints of more lines than one, and statuses without one, arrive', async () => {
    const { shell } = fixture('[ "$1" = silent ] && exit 3\nprintf "one\\ntwo\\n" >&2; exit 1');
    expect(await shell.run(['loud'])).toBe('one\ntwo');
    expect(await shell.run(['silent'])).toBe('ended by 3');
    await shell.close();
  });

  test('a program that is not there, or must not be run, is told of', async () => {
    const { fd, file } = fixture();
    for (const program of ['no-such-program', '/no/such/program', file]) {
      const shell = new SpaceShell(fd, program);
      expect(await shell.run([])).toBe('program not found');
      await shell.close();
    }
    fs.closeSync(fd);
  });

  test('SS2: a shell that dies is told of, and replaced by the next run', async () => {
    const { shell } = fixture('[ "$1" = die ] && kill -9 $PPID; [ "$1" != die ]');
    expect(await shell.run(['die'])).toBe('ended by SIGKILL');
    expect(await shell.run(['live'])).toBeUndefined();
    await shell.close();
    await shell.close();
  });

  test('what a terminal sends to all of a group ends no shell', async () => {
    const { shell } = fixture('kill -INT $PPID; kill -HUP $PPID; kill -QUIT $PPID');
    expect(await shell.run([])).toBeUndefined();
    expect(await shell.run([])).toBeUndefined();
    await shell.close();
  });

  test('SS1 and SS3: a process is not kept by its shell, and takes it along, also when killed', async () => {
    const { file, program, lines } = fixture();
    const main = `
      import { openWith } from '${path.resolve(import.meta.dirname, '../src/file-device.ts')}';
      const device = await openWith({ spaceCommand: '${program}' }, '${file}', {});
      await device.discard(0, 2 << 20);
      if (process.argv.includes('stay')) setInterval(() => undefined, 1000);
    `;
    fs.truncateSync(file, 4 << 20);
    const args = ['--import', 'tsx', '--conditions=@palimpsest/source', '--input-type=module'];
    const start = (...more: string[]) =>
      spawn(process.execPath, [...args, '--eval', main, ...more], { stdio: 'inherit' });
    const [status] = await once(start(), 'exit');
    expect(status).toBe(0);
    const staying = start('stay');
    await until(() => lines().length === 2);
    const shells = lines().map((line) => Number(line.split(' ')[0]));
    expect(isAlive(shells[1] as number)).toBe(true);
    staying.kill('SIGKILL');
    await once(staying, 'exit');
    await until(() => shells.every((pid) => !isAlive(pid)));
  }, 30_000);
});
