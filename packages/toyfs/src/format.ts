/**
 * format: an empty file system on a device. Blocks of 4 KiB, inodes of 256 bytes, and of ext4's
 * features only those that we write.
 *
 *   K1  The superblock is written last, after a flush: a device that was being formatted holds no file
 *       system, never half of one.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { INO_JOURNAL, INO_LOST_FOUND, TYPE_DIRECTORY, TYPE_FILE } from './disk/inode-record.js';
import { SUPERBLOCK_OFFSET } from './disk/superblock.js';
import { BLOCK, type FormatOptions, LOST_FOUND_BLOCKS, planFor } from './format-plan.js';
import { Formatter } from './formatter.js';
import { ROOT_INO } from './vfs.js';

/**
 * Makes an empty file system on `device`, over whatever is there. Durable when it resolves.
 * @throws {StorageError} ERR_INVALID for a device of less than 8 MiB or options that do not fit it
 */
export async function format(device: BlockDevice, options: FormatOptions = {}): Promise<void> {
  const plan = planFor(device, options);
  const now = (options.now ?? Date.now)();
  const uuid = options.uuid ?? madeUuid();
  const label = new TextEncoder().encode(options.label ?? '');
  if (uuid.length !== 16) throw new StorageError('ERR_INVALID', 'a uuid has 16 bytes');
  if (label.length > 16) throw new StorageError('ERR_INVALID', 'a label has 16 bytes at most');
  await device.zero(0, 2 * SUPERBLOCK_OFFSET > device.blockSize ? BLOCK : device.blockSize);
  await device.flush(); // K1: what was there is there no more.

  const writer = new Formatter(device, plan, now);
  const root = writer.take(0, 1);
  const lostFound = writer.take(0, LOST_FOUND_BLOCKS);
  const journal = writer.takeRuns(plan.journalBlocks);
  const owner = { uid: options.uid ?? 0, gid: options.gid ?? 0 };
  writer.inode(ROOT_INO, TYPE_DIRECTORY | 0o755, 3, [{ start: root, count: 1 }], owner);
  const lostRun = [{ start: lostFound, count: LOST_FOUND_BLOCKS }];
  writer.inode(INO_LOST_FOUND, TYPE_DIRECTORY | 0o700, 2, lostRun, { uid: 0, gid: 0 });
  writer.inode(INO_JOURNAL, TYPE_FILE | 0o600, 1, journal, { uid: 0, gid: 0 });
  writer.directories(root, lostFound);
  writer.journalSuperblock(journal[0]?.start ?? 0, uuid);
  const superblock = writer.superblock(uuid, label);
  await writer.write(superblock);
}

/** A uuid of version 4: for telling images apart, no secret. */
function madeUuid(): Uint8Array {
  const bytes = Uint8Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes;
}
