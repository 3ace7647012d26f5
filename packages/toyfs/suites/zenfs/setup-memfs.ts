/**
 * ZenFS's tests on memfs.
 */
import { createFsFromVolume, Volume } from 'memfs';

const { copySync, data } = await import(`${process.env.ZENFS_TESTS}/setup.ts`);

export const fs = createFsFromVolume(new Volume());
process.chdir('/'); // memfs starts relative paths where the process is
copySync(data, fs as never);

export const flags = { 'promises.exists': false, xattr: false };
