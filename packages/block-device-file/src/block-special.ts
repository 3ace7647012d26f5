/**
 * The size of a block special file (`/dev/sdb`). Its status does not say, and the ioctl that does
 * cannot be called from Node: Linux tells in `/sys`; anywhere else the end is searched by reading.
 */
import fs from 'node:fs';
import { systemCode } from './system-errors.js';

const SECTOR = 512;

/** Bytes on the block special file behind `fd`. */
export function sizeOfBlockSpecial(fd: number): number {
  const { rdev } = fs.fstatSync(fd, { bigint: true });
  const told = sizeInSys(rdev);
  return told ?? searchEnd(fd);
}

function sizeInSys(rdev: bigint): number | undefined {
  // dev_t as glibc packs it: minor in bits 0..7 and 20..43, major in 8..19 and 44..63.
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffffff00n);
  try {
    const sectors = fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'utf8');
    return Number(sectors) * SECTOR; // always in 512-byte sectors, whatever the disk's are
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return undefined; // no Linux, or a container without /sys
  }
}

/** Finds the end of `fd`, to the sector, by reading single sectors: about 80 reads. */
export function searchEnd(fd: number): number {
  const target = new Uint8Array(SECTOR);
  const readable = (sector: number): boolean =>
    fs.readSync(fd, target, 0, SECTOR, sector * SECTOR) === SECTOR;
  if (!readable(0)) return 0;
  let inside = 0;
  let outside = 1;
  const last = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR) - 1;
  while (outside < last && readable(outside)) {
    inside = outside;
    outside = Math.min(last, outside * 2);
  }
  while (outside - inside > 1) {
    const middle = inside + Math.floor((outside - inside) / 2);
    if (readable(middle)) inside = middle;
    else outside = middle;
  }
  return (inside + 1) * SECTOR;
}
