/** What was written to a production volume since it was opened, and what that took. Numbers only grow. */
import type { DeviceMetrics } from '@palimpsest/block-device';

/** Bytes and requests of both sides, and the blocks in between. */
export interface VolumeMetrics {
  /** What the volume's users asked for. */
  readonly users: DeviceMetrics;
  /** What the clone volume was asked for, since that was opened. */
  readonly clone: DeviceMetrics;
  /**
   * Blocks whose old state had to be recorded, durably, before they were overwritten: once between two
   * snapshots, however often they are written (I2).
   */
  readonly firstWrittenBlocks: number;
  /** States of them stored with their bytes, a block of the save volume each. */
  readonly copiedOutBlocks: number;
  /** States of them that were zeros, or held nothing, and took no block. */
  readonly savedAsZeroBlocks: number;
}
