/**
 * Names that last: a file's name is in its directory, so a new or changed name is durable only
 * when the directory has been synced too.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { translate } from './system-errors.js';

/** Makes the names in the directory of `file` durable. */
export async function syncDirectoryOf(file: string): Promise<void> {
  const directory = path.dirname(path.resolve(file));
  try {
    const handle = await fs.open(directory, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw translate(error, `sync the directory ${directory}`);
  }
}

/** Gives a file another name, replacing what had it, and makes that durable. */
export async function renameDurably(from: string, to: string): Promise<void> {
  try {
    await fs.rename(from, to);
  } catch (error) {
    throw translate(error, `rename ${from} to ${to}`);
  }
  await syncDirectoryOf(to);
  if (path.dirname(path.resolve(from)) !== path.dirname(path.resolve(to))) {
    await syncDirectoryOf(from);
  }
}
