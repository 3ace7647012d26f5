/**
 * ZenFS's tests on toyfs: a new file system on a device in memory, with the tests' data in its root.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { format, nodeFs, openFileSystem } from '@palimpsest/toyfs';

const { copyAsync, data } = await import(`${process.env.ZENFS_TESTS}/setup.ts`);

const device = createMemoryDevice({ size: 128 << 20 });
await format(device);
const own = nodeFs(await openFileSystem(device), { umask: 0 });
const { getxattr, setxattr, listxattr, removexattr } = own.promises;
type Encoded = { encoding?: BufferEncoding | 'buffer' };

export const fs = {
  ...own,
  /** ZenFS's words for xattrs. */
  xattr: {
    set: setxattr,
    list: listxattr,
    remove: removexattr,
    get: async (path: string, name: string, { encoding }: Encoded = {}) => {
      const value = await getxattr(path, name);
      return encoding === undefined || encoding === 'buffer' ? value : value.toString(encoding);
    },
  },
};

await copyAsync(data, fs);

export const flags = { sync: false, lchmod: false, 'promises.exists': false };
