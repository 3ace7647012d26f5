/**
 * The superblock's numbers beyond the image's shape, which `parseGeometry` has settled.
 */
import { COMPAT_RESIZE, RO_QUOTA } from '../features.js';
import type { Checking } from './checking.js';

/** The first inode that no image reserves. */
const FIRST_INODE_MIN = 11;

/** Checks what the superblock says of counts, clusters and reserves. */
export function checkSuperNumbers({ superblock: sb, geometry, findings }: Checking): void {
  const { blocks, inodes, blockSize, inodeSize, descriptorSize } = geometry;
  const reserved =
    sb.reservedCountLow + (descriptorSize >= 64 ? sb.reservedCountHigh * 2 ** 32 : 0);
  const perBlock = blockSize / inodeSize;
  const facts: readonly [boolean, string][] = [
    [reserved <= blocks / 2, `${reserved} blocks are reserved of ${blocks}`],
    [sb.logClusterSize === sb.logBlockSize, `clusters of 2^${sb.logClusterSize} KiB`],
    [sb.clustersPerGroup === sb.blocksPerGroup, `${sb.clustersPerGroup} clusters in a group`],
    [
      sb.blocksPerGroup % 8 === 0 && sb.blocksPerGroup >= 8,
      `${sb.blocksPerGroup} blocks in a group`,
    ],
    [sb.inodesPerGroup >= perBlock, `${sb.inodesPerGroup} inodes in a group`],
    [sb.inodesPerGroup % 8 === 0, `${sb.inodesPerGroup} inodes in a group`],
    [
      geometry.firstInode >= FIRST_INODE_MIN && geometry.firstInode <= inodes,
      `the first inode not reserved is ${geometry.firstInode}`,
    ],
    [
      sb.reservedGdtBlocks === 0 || (sb.compatible & COMPAT_RESIZE) !== 0,
      `${sb.reservedGdtBlocks} blocks are kept for descriptors, without the feature for that`,
    ],
    [
      sb.reservedGdtBlocks <= blockSize / 4,
      `${sb.reservedGdtBlocks} blocks are kept for descriptors`,
    ],
    [
      isPower(sb.descriptorSize) && sb.descriptorSize <= 1024,
      `descriptors of ${sb.descriptorSize} bytes`,
    ],
    [sb.journalUuid.every((byte) => byte === 0), 'the journal is on another device'],
    [
      (sb.readOnlyCompatible & RO_QUOTA) !== 0 ||
        (sb.userQuotaInode === 0 && sb.groupQuotaInode === 0 && sb.projectQuotaInode === 0),
      'there are inodes of quotas, without the feature for that',
    ],
  ];
  for (const [holds, what] of facts) {
    if (!holds) findings.add('superblock', `the superblock makes no sense: ${what}`);
  }
}

function isPower(number: number): boolean {
  return (number & (number - 1)) === 0;
}
