/** A plain file as a device, synchronous reads and writes: what the tests and the harness serve. */
import { closeSync, fdatasync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { type BlockDevice, checked, StorageError } from '@palimpsest/block-device';

const sync = promisify(fdatasync);

/** Opens `path`, whose size must be whole blocks. */
export function openFileDevice(path: string, blockSize = 4096): BlockDevice {
  const fd = openSync(path, 'r+');
  return checked({
    blockSize,
    size: fstatSync(fd).size,
    readOnly: false,
    readInto(target, position) {
      if (readSync(fd, target, 0, target.length, position) !== target.length) {
        throw new StorageError('ERR_IO', 'a short read');
      }
      return undefined;
    },
    write(source, position) {
      if (writeSync(fd, source, 0, source.length, position) !== source.length) {
        throw new StorageError('ERR_IO', 'a short write');
      }
      return undefined;
    },
    flush: () => sync(fd),
    async close() {
      closeSync(fd);
    },
  });
}
