import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { afterAll, describe, expect, test } from 'vitest';
import { lockFile } from '../src/index.js';
import { type LockNames, lockBy } from '../src/lock-file.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-lock-'));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
let files = 0;
function newFile(): string {
  const file = path.join(folder, `store-${files++}`);
  fs.writeFileSync(file, '');
  return file;
}

const kinds: readonly LockNames[] = process.platform === 'linux' ? ['abstract', 'file'] : ['file'];
describe.each(kinds)('a lock by %s names', (kind) => {
  test('has one holder, who is named, until released', async () => {
    const file = newFile();
    const lock = await lockBy(kind, file);
    const link = `${file}-link`;
    fs.linkSync(file, link); // another name, the same file
    await expect(lockBy(kind, link)).rejects.toMatchObject({
      code: 'ERR_BUSY',
      message: `${link} is in use by process ${process.pid}`,
    });
    await lock.release();
    await lock.release();
    await using again = await lockBy(kind, file);
    expect(again).toBeDefined();
  });

  test('of another file is another lock', async () => {
    await using one = await lockBy(kind, newFile());
    await using two = await lockBy(kind, newFile());
    expect(one).not.toBe(two);
  });

  test('L1 is free as soon as its holder is killed; a stopped holder keeps it', async () => {
    const file = newFile();
    // The holder does what lockFile does, without the package: the name is the protocol.
    const { dev, ino } = fs.statSync(file, { bigint: true });
    const name = `palimpsest-lock-${dev.toString(16)}-${ino.toString(16)}`;
    const address = kind === 'abstract' ? `\0${name}` : path.join(os.tmpdir(), `${name}.sock`);
    const script = `require('net').createServer().listen(${JSON.stringify(address)}, () => console.log('held'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    await expect(lockBy(kind, file)).rejects.toMatchObject({
      code: 'ERR_BUSY',
      message: `${file} is in use by another process`,
    });
    child.kill('SIGKILL');
    await once(child, 'exit');
    await using lock = await lockBy(kind, file);
    expect(lock).toBeDefined();
  });
});

test('a file that is not there cannot be locked', async () => {
  await expect(lockFile(path.join(folder, 'none'))).rejects.toMatchObject({
    code: 'ERR_NOT_FOUND',
  });
});
