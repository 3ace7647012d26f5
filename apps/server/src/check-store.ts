/** Checking a store that will not open, part by part, without writing to it. */
import path from 'node:path';
import { StorageError } from '@palimpsest/block-device';
import { type CheckReport, checkSaveVolume } from '@palimpsest/save-volume';
import { silentLogger } from './logger.js';
import { createNodeEnvironment } from './node-environment.js';

/** Bytes that the file is read in. */
const BLOCK = 4096;

/**
 * Looks at the save volume in a directory (absolute), under its lock; nothing is written.
 * @throws {StorageError} ERR_NOT_FOUND when there is none; ERR_BUSY while a process has it open;
 * ERR_INVALID when the file is not whole blocks.
 */
export async function checkStore(directory: string): Promise<CheckReport> {
  const { files } = createNodeEnvironment(silentLogger);
  const file = path.join(directory, 'save.pal');
  if ((await files.status(file)) === undefined) {
    throw new StorageError(
      'ERR_NOT_FOUND',
      `there is no store in ${directory}; look: ls -l ${file}`,
    );
  }
  const lock = await files.lock(file);
  try {
    const device = await files.open(file, BLOCK);
    try {
      return await checkSaveVolume(device);
    } finally {
      await device.close();
    }
  } finally {
    await lock.release();
  }
}
