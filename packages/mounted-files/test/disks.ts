/** Disks with partition tables: bytes made by the book, and by sfdisk where it is. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BlockDevice, createMemoryDevice } from '@palimpsest/block-device';
import { checksum } from '@palimpsest/bytes';
import type { Partition } from '../src/partition.js';

/** A GPT disk as UEFI 2.10, section 5.3, has it. `parts` are in sectors: number, first, count. */
export function gptDisk(
  size: number,
  parts: readonly (readonly [number: number, first: number, count: number])[],
  { sector = 512, entry = 128 }: { readonly sector?: number; readonly entry?: number } = {},
): Buffer {
  const disk = Buffer.alloc(size);
  const sectors = size / sector;
  // The protective MBR: one partition of type 0xEE over all.
  disk.writeUInt8(0xee, 446 + 4);
  disk.writeUInt32LE(1, 446 + 8);
  disk.writeUInt32LE(sectors - 1, 446 + 12);
  disk.writeUInt16LE(0xaa55, 510);
  const table = Buffer.alloc(128 * entry);
  for (const [number, first, count] of parts) {
    const at = (number - 1) * entry;
    // Type: a file system of Linux, 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
    table.write('af3dc60f838472478e793d69d8477de4', at, 'hex');
    table.fill(number, at + 16, at + 32);
    table.writeBigUInt64LE(BigInt(first), at + 32);
    table.writeBigUInt64LE(BigInt(first + count - 1), at + 40);
  }
  const tableSectors = Math.ceil(table.length / sector);
  const last = sectors - 1;
  const put = (own: number, other: number, start: number): void => {
    const header = Buffer.alloc(92);
    header.write('EFI PART', 0, 'latin1');
    header.writeUInt32LE(0x1_0000, 8);
    header.writeUInt32LE(header.length, 12);
    header.writeBigUInt64LE(BigInt(own), 24);
    header.writeBigUInt64LE(BigInt(other), 32);
    header.writeBigUInt64LE(BigInt(2 + tableSectors), 40);
    header.writeBigUInt64LE(BigInt(last - tableSectors - 1), 48);
    header.fill(0x77, 56, 72);
    header.writeBigUInt64LE(BigInt(start), 72);
    header.writeUInt32LE(128, 80);
    header.writeUInt32LE(entry, 84);
    header.writeUInt32LE(checksum(table), 88);
    header.writeUInt32LE(checksum(header), 16);
    header.copy(disk, own * sector);
    table.copy(disk, start * sector);
  };
  put(1, last, 2);
  put(last, 1, last - tableSectors);
  return disk;
}

/** A device that holds these bytes. */
export async function deviceOf(bytes: Uint8Array, blockSize = 4096): Promise<BlockDevice> {
  const device = createMemoryDevice({ blockSize, size: bytes.length });
  await device.write(bytes, 0);
  return device;
}

const SFDISK = ['/sbin/sfdisk', '/usr/sbin/sfdisk'].find((each) => existsSync(each));
/** Whether sfdisk is here. In continuous integration (CI=true) it must be. */
export const hasSfdisk: boolean = SFDISK !== undefined;
if (!hasSfdisk) {
  if (process.env.CI) throw new Error('sfdisk (package fdisk) is missing, and CI must have it');
  console.warn('SKIPPED: what sfdisk (package fdisk) says of partitions: it is missing');
}

/** A disk that sfdisk makes of this script. */
export function sfdiskDisk(size: number, script: string): Buffer {
  return withFile(Buffer.alloc(0), (file) => {
    truncateSync(file, size);
    sfdisk(['-q', file], script);
    return readFileSync(file);
  });
}

/** The partitions that sfdisk finds; also fails when it has a complaint about the table. */
export function sfdiskPartitions(disk: Uint8Array): Partition[] {
  return withFile(disk, (file) => {
    sfdisk(['--verify', file]);
    const { partitiontable } = JSON.parse(sfdisk(['--json', file]));
    const parts: { node: string; start: number; size: number; type: string }[] =
      partitiontable.partitions;
    return parts
      .filter(({ type }) => type !== '5' && type !== 'f')
      .map(({ node, start, size }) => {
        const number = Number(node.slice(file.length));
        return { number, position: start * 512, length: size * 512 };
      });
  });
}

function sfdisk(args: readonly string[], input = ''): string {
  return execFileSync(SFDISK as string, args, { input, encoding: 'utf8' });
}

function withFile<T>(bytes: Uint8Array, use: (file: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), 'palimpsest-disks-'));
  try {
    const file = path.join(folder, 'disk');
    writeFileSync(file, bytes);
    return use(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
