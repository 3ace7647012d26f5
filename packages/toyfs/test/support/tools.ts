/**
 * The programs that judge our images, and images made by them. Where they are missing the tests that
 * need them are skipped, visibly.
 */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { runFromShell } from './shell.js';

/** Where the programs are. */
export const SYSTEM_PATH: string = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

/** Whether everything is to be tried, not only what fits into a quick run (npm run fs-floors). */
export const all: boolean = process.env.TOYFS_ALL === '1';

/** The cases of a quick run: every other one, unless all are wanted. */
export function chosen<T>(cases: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(cases).filter((_, i) => all || i % 2 === 0);
}

/**
 * Whether e2fsprogs is here. Where it is missing the tests that need it are left out, which is said; in
 * continuous integration (CI=true) that is a failure.
 */
export const hasTools: boolean = ['mkfs.ext4', 'debugfs', 'e2fsck'].every((tool) =>
  SYSTEM_PATH.split(':').some((folder) => existsSync(join(folder, tool))),
);

if (!hasTools) {
  const missing = 'e2fsprogs is missing (mkfs.ext4, debugfs, e2fsck)';
  if (process.env.CI === 'true') throw new Error(missing);
  console.error(`SKIPPED: what needs the judgement of others: ${missing}`);
}

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

/** Memory, where there is a folder of it: what e2fsck syncs takes the time of a disk otherwise. */
const PLACE = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Runs commands of debugfs on an image file. */
export async function debugfs(file: string, commands: string): Promise<void> {
  const script = `${file}.commands`;
  writeFileSync(script, commands);
  await runFromShell('debugfs', ['-w', '-f', script, file], SYSTEM_PATH);
}

/** A new folder, and how to remove it. */
export function scratch(): { path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(PLACE, 'toyfs-'));
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
  const bytes = new Uint8Array(1 << 20);
  const zeros = new Uint8Array(1 << 20);
  const descriptor = openSync(file, 'w');
  try {
    ftruncateSync(descriptor, device.size);
    for (let at = 0; at < device.size; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, device.size - at));
      await device.readInto(part, at);
      if (Buffer.compare(part, zeros.subarray(0, part.length)) !== 0) {
        writeSync(descriptor, part, 0, part.length, at);
      }
    }
  } finally {
    closeSync(descriptor);
  }
}

/** What e2fsck says of an image it must not change; an empty string when it has no complaint. */
export async function complaints(device: BlockDevice): Promise<string> {
  using folder = scratch();
  const file = join(folder.path, 'image');
  await saveTo(file, device);
  return await fileComplaints(file);
}

/** As `complaints`, of a file. */
export async function fileComplaints(file: string): Promise<string> {
  const { status, output } = await runFromShell('e2fsck', ['-fn', file], SYSTEM_PATH);
  const said = output
    .split('\n')
    .filter((line) => line !== '' && !/^Pass \d|^e2fsck \d|: \d+\/\d+ files \(/.test(line))
    .join('\n');
  return status === 0 && said === '' ? '' : `status ${status}: ${said}`;
}

/** The image after e2fsck replayed its journal and finished its orphans, as it does when booting. */
export async function repaired(device: BlockDevice): Promise<BlockDevice> {
  using folder = scratch();
  const file = join(folder.path, 'image');
  await saveTo(file, device);
  const { status, output } = await runFromShell('e2fsck', ['-p', file], SYSTEM_PATH);
  if (status !== 0 && status !== 1) throw new Error(`e2fsck -p: status ${status}: ${output}`);
  return deviceOf(file, device.blockSize);
}
