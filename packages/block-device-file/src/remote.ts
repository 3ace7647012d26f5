/**
 * Remote file systems: those that a program of this machine or another machine answers for. When that
 * one does not answer, a call waits without bounds, so none is ever made on the main thread.
 */
import fs from 'node:fs';
import process from 'node:process';

/** As `statfs` names them on Linux. */
const REMOTE: ReadonlySet<number> = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x65735546, // FUSE
  0x00c36400, // Ceph
  0x01021997, // 9p
  0x5346414f, // AFS
  0x0bd00bd0, // Lustre
  0x19830326, // FhGFS, BeeGFS
  0x47504653, // GPFS
]);

/** Whether the file at `path` is on one. False where the system does not tell. */
export function isRemote(path: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return REMOTE.has(Number(fs.statfsSync(path, { bigint: true }).type & 0xffff_ffffn));
  } catch {
    return false; // nothing hangs on it but how fast it is
  }
}
