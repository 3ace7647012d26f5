/** Folders and stores for tests, on the machine's own files. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createStore } from '@palimpsest/control';
import { onTestFinished } from 'vitest';
import { silentLogger } from '../src/logger.js';
import { createNodeEnvironment } from '../src/node-environment.js';
import { ensureToken } from '../src/token.js';

/** An empty folder, removed after the test. */
export async function scratch(): Promise<string> {
  const folder = await realpath(await mkdtemp(path.join(tmpdir(), 'palimpsest-test-')));
  // Not a hook of this file: it is loaded once for many test files, and would be the first one's alone.
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder with an empty store in it. */
export async function scratchStore(): Promise<string> {
  const directory = path.join(await scratch(), 'store');
  await createStore(directory, {}, createNodeEnvironment(silentLogger));
  await ensureToken(directory);
  return directory;
}

/** What `work` fails with: its code and message. */
export async function refusal(
  work: () => unknown,
): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await work();
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return { code, message };
  }
  throw new Error('it was not refused');
}
