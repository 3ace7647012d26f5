/** What a table of partitions says of one. */

/** A part of a disk; where it is, in bytes. */
export interface Partition {
  /** As `/dev/sdaN` counts them. */
  readonly number: number;
  readonly position: number;
  readonly length: number;
}
