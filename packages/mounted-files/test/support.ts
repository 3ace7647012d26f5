/** A store on a machine of memory with its file systems mounted, and a judge from outside. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createStore, openStore, type Store } from '@palimpsest/control';
import { createMemoryMachine, type MemoryMachine } from '@palimpsest/control/testing';
import { type FsPromises, format, fsPromises } from '@palimpsest/toyfs';
import { onTestFinished } from 'vitest';
import { createMounts, type Mounts, type MountsOptions } from '../src/index.js';

/** Bytes of a volume. */
export const SIZE: number = 16 << 20;

export interface Fixture {
  readonly machine: MemoryMachine;
  readonly store: Store;
  readonly mounts: Mounts;
}

/** A store with a volume `prod` that has an empty file system. */
export async function fixture(options: MountsOptions = {}): Promise<Fixture> {
  const machine = createMemoryMachine();
  await createStore('/store', { saveSize: 4 << 20 }, machine.process());
  const store = await openStore('/store', machine.process());
  await store.createVolume({ name: 'prod', size: SIZE });
  const mounts = createMounts(store, { idleMs: 60_000, ...options });
  await mounts.withDevice('prod', ({ device }) => format(device, { journalBytes: 4 << 20 }));
  onTestFinished(async () => {
    await mounts.close();
    await store.close();
  });
  return { machine, store, mounts };
}

/** Does something with the files of a reference. */
export async function withFiles<T>(
  mounts: Mounts,
  reference: string,
  use: (fs: FsPromises) => Promise<T>,
  choice: { write?: boolean } = {},
): Promise<T> {
  await using mount = await mounts.mount(reference, choice);
  return await use(fsPromises(mount.fs));
}

/** Every byte of what a reference means, read beside whoever has it open. */
export async function bytesOf(store: Store, reference: string): Promise<Buffer> {
  const opened = await store.openExport(reference);
  const bytes = Buffer.alloc(opened.device.size);
  await opened.device.readInto(bytes, 0);
  await opened.release();
  return bytes;
}

/** What e2fsck says of an image: nothing, or its complaints. Skips with a word where it is missing. */
export function complaints(image: Uint8Array): string {
  const tool = ['/sbin/e2fsck', '/usr/sbin/e2fsck'].find((each) => existsSync(each));
  if (tool === undefined) {
    if (process.env.CI) throw new Error('e2fsck is missing, and CI must have it');
    console.warn('SKIPPED: e2fsck is missing; it judges nothing here');
    return '';
  }
  const folder = mkdtempSync(path.join(tmpdir(), 'palimpsest-mounts-'));
  try {
    const file = path.join(folder, 'image');
    writeFileSync(file, image);
    execFileSync(tool, ['-fn', file], { stdio: 'pipe' });
    return '';
  } catch (error) {
    return String((error as { stdout?: Buffer }).stdout ?? error);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
