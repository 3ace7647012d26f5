/**
 * The programs that judge our images, and images made by them. Where they are missing the tests that
 * need them are skipped, visibly.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';

const SYSTEM_PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** Whether e2fsprogs is here. */
export const hasTools: boolean = ['mkfs.ext4', 'debugfs', 'e2fsck'].every((tool) =>
  SYSTEM_PATH.split(':').some((folder) => existsSync(join(folder, tool))),
);

/** Runs a program; throws when it fails. */
export function run(program: string, args: readonly string[], input?: string): string {
  return execFileSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: SYSTEM_PATH },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
    ...(input === undefined ? {} : { input }),
  });
}

/** A new folder, and how to remove it. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'toyfs-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** An image file's content as a device in memory. */
export async function deviceOf(file: string, blockSize = 1024): Promise<BlockDevice> {
  const bytes = readFileSync(file);
  const device = createMemoryDevice({ blockSize, size: bytes.length });
  for (let at = 0; at < bytes.length; at += 1 << 20) {
    await device.write(bytes.subarray(at, at + (1 << 20)), at);
  }
  return device;
}

/** Writes a device's content into a file, sparse. */
export async function saveTo(file: string, device: BlockDevice): Promise<void> {
  writeFileSync(file, '');
  truncateSync(file, device.size);
  const bytes = new Uint8Array(device.size);
  await device.readInto(bytes, 0);
  writeFileSync(file, bytes);
}

/** What e2fsck says of an image it must not change; an empty string when it has no complaint. */
export async function complaints(device: BlockDevice): Promise<string> {
  using folder = scratch();
  const file = join(folder.path, 'image');
  await saveTo(file, device);
  return fileComplaints(file);
}

/** As `complaints`, of a file. */
export function fileComplaints(file: string): string {
  const { status, stdout, stderr } = spawnSync('e2fsck', ['-fn', file], {
    encoding: 'utf8',
    env: { ...process.env, PATH: SYSTEM_PATH },
  });
  const quiet = stdout
    .split('\n')
    .filter((line) => line !== '' && !/^Pass \d|: \d+\/\d+ files \(/.test(line));
  const version = stderr.split('\n').filter((line) => line !== '' && !/^e2fsck \d/.test(line));
  const said = [...quiet, ...version].join('\n');
  return status === 0 && said === '' ? '' : `status ${status}: ${said}`;
}
