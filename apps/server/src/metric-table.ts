/** Every metric that the daemon tells: its name, kind, meaning and value. docs/METRICS.md has the same. */
import type { BranchActivity, StoreMetrics, VolumeActivity } from '@palimpsest/control';
import type { ServiceMetrics, ServiceUsage } from './service.js';

/** A value with its labels. */
export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  /** `null` when there is none, or none yet. */
  readonly value: number | null;
}

/** A metric. Counters only grow while the store is open, and have names that end in `_total`. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  samples(metrics: ServiceMetrics): readonly Sample[];
}

const store = (
  name: string,
  help: string,
  value: (metrics: StoreMetrics) => number | null,
): Metric => ({ name, help, samples: (metrics) => [{ value: value(metrics) }] });

const volumes = (
  name: string,
  help: string,
  value: (volume: VolumeActivity) => number | null,
): Metric => ({
  name,
  help,
  samples: (metrics) =>
    metrics.volumes.map((each) => ({ labels: { volume: each.reference }, value: value(each) })),
});

const branches = (
  name: string,
  help: string,
  value: (branch: BranchActivity) => number | null,
): Metric => ({
  name,
  help,
  samples: (metrics) =>
    metrics.branches.map((each) => {
      const [volume = '', branch = ''] = each.reference.split('/');
      return { labels: { volume, branch }, value: value(each) };
    }),
});

const service = (name: string, help: string, value: (usage: ServiceUsage) => number): Metric => ({
  name,
  help,
  samples: ({ service: usage }) => [{ value: usage === undefined ? null : value(usage) }],
});

/** Every metric there is. */
export const METRICS: readonly Metric[] = [
  store(
    'palimpsest_write_amplification_ratio',
    'Bytes handed to all devices for a byte that users wrote, since the store was opened.',
    ({ cost }) => cost.writeAmplification,
  ),
  store(
    'palimpsest_first_write_amplification_ratio',
    'The same for production blocks written for the first time since a snapshot.',
    ({ cost }) => cost.firstWriteAmplification,
  ),
  store(
    'palimpsest_first_write_space_bytes',
    'Bytes of the save volume that such a block takes: its old bytes, and its entries in the map.',
    ({ cost }) => cost.spacePerFirstWrite,
  ),
  store(
    'palimpsest_first_write_flushes_ratio',
    'Device flushes, of the save volume and of all images, for such a block.',
    ({ cost }) => cost.flushesPerFirstWrite,
  ),
  store(
    'palimpsest_user_flush_flushes_ratio',
    'Device flushes for a flush that a user asked for.',
    ({ cost }) => cost.flushesPerUserFlush,
  ),

  store(
    'palimpsest_save_commits_total',
    'Records written to the journal: one a commit.',
    ({ save }) => save.commits,
  ),
  store(
    'palimpsest_save_checkpoints_total',
    'Times that the journal was emptied into the map.',
    ({ save }) => save.checkpoints,
  ),
  store('palimpsest_save_flushes_total', 'Flushes of the save volume.', ({ save }) => save.flushes),
  store(
    'palimpsest_save_map_changes_total',
    'Entries of the block map that commits set, moved or took out.',
    ({ save }) => save.entries,
  ),
  {
    name: 'palimpsest_save_written_bytes_total',
    help: 'Bytes handed to the save volume: saved and branch blocks, journal, and map with its lists.',
    samples: ({ save }) => [
      { labels: { part: 'data' }, value: save.dataBytes },
      { labels: { part: 'journal' }, value: save.journalBytes },
      { labels: { part: 'map' }, value: save.mapBytes },
    ],
  },
  store(
    'palimpsest_save_allocated_blocks_total',
    'Blocks of the save volume handed out.',
    ({ save }) => save.allocatedBlocks,
  ),
  store(
    'palimpsest_save_freed_blocks_total',
    'Blocks of the save volume given back.',
    ({ save }) => save.freedBlocks,
  ),
  store(
    'palimpsest_save_growths_total',
    'Times that the save volume grew.',
    ({ save }) => save.growths,
  ),
  store(
    'palimpsest_save_discarded_bytes_total',
    'Free space that the device was told of.',
    ({ save }) => save.discardedBytes,
  ),
  store('palimpsest_save_size_bytes', 'The save volume.', ({ space }) => space.totalBytes),
  store(
    'palimpsest_save_used_bytes',
    'In use of it, the journal included.',
    ({ space }) => space.usedBytes,
  ),
  store('palimpsest_save_free_bytes', 'Free of it.', ({ space }) => space.freeBytes),
  store(
    'palimpsest_save_reserved_bytes',
    'Of the free bytes, what is spoken for or kept for deleting.',
    ({ space }) => space.reservedBytes,
  ),
  store('palimpsest_save_map_bytes', 'Pages of the block map.', ({ space }) => space.mapBytes),
  store(
    'palimpsest_save_map_entries',
    'Entries of the block map, in its pages and in the journal.',
    ({ space }) => space.mapEntries,
  ),
  store(
    'palimpsest_save_journal_bytes',
    'Commits in the journal: what recovery would replay.',
    ({ space }) => space.journalBytes,
  ),
  store(
    'palimpsest_held_bytes',
    'Written, held in memory, and not committed yet.',
    ({ space }) => space.dirtyBytes,
  ),

  volumes('palimpsest_volume_reads_total', 'Reads of users.', ({ users }) => users.reads),
  volumes('palimpsest_volume_read_bytes_total', 'Bytes they read.', ({ users }) => users.readBytes),
  volumes('palimpsest_volume_writes_total', 'Writes of users.', ({ users }) => users.writes),
  volumes(
    'palimpsest_volume_written_bytes_total',
    'Bytes they wrote.',
    ({ users }) => users.writtenBytes,
  ),
  volumes(
    'palimpsest_volume_zeroed_bytes_total',
    'Bytes they zeroed.',
    ({ users }) => users.zeroedBytes,
  ),
  volumes(
    'palimpsest_volume_discarded_bytes_total',
    'Bytes they discarded.',
    ({ users }) => users.discardedBytes,
  ),
  volumes(
    'palimpsest_volume_flushes_total',
    'Flushes they asked for, forced writes included.',
    ({ users }) => users.flushes,
  ),
  volumes(
    'palimpsest_volume_first_written_blocks_total',
    'Blocks written for the first time since a snapshot.',
    (volume) => volume.firstWrittenBlocks,
  ),
  volumes(
    'palimpsest_volume_copied_out_blocks_total',
    'States of them that were stored with their bytes.',
    (volume) => volume.copiedOutBlocks,
  ),
  volumes(
    'palimpsest_volume_saved_as_zero_blocks_total',
    'States of them that were zeros and took no block.',
    (volume) => volume.savedAsZeroBlocks,
  ),
  volumes(
    'palimpsest_image_read_bytes_total',
    'Bytes read from the image.',
    ({ clone }) => clone.readBytes,
  ),
  volumes(
    'palimpsest_image_written_bytes_total',
    'Bytes written to the image.',
    ({ clone }) => clone.writtenBytes,
  ),
  volumes(
    'palimpsest_image_zeroed_bytes_total',
    'Bytes zeroed in the image.',
    ({ clone }) => clone.zeroedBytes,
  ),
  volumes('palimpsest_image_flushes_total', 'Flushes of the image.', ({ clone }) => clone.flushes),
  volumes(
    'palimpsest_volume_write_amplification_ratio',
    'Bytes handed to the devices for a byte that users wrote.',
    ({ cost }) => cost.writeAmplification,
  ),

  branches('palimpsest_branch_reads_total', 'Reads of users.', ({ users }) => users.reads),
  branches(
    'palimpsest_branch_read_bytes_total',
    'Bytes they read.',
    ({ users }) => users.readBytes,
  ),
  branches('palimpsest_branch_writes_total', 'Writes of users.', ({ users }) => users.writes),
  branches(
    'palimpsest_branch_written_bytes_total',
    'Bytes they wrote.',
    ({ users }) => users.writtenBytes,
  ),
  branches(
    'palimpsest_branch_flushes_total',
    'Flushes they asked for, forced writes included.',
    ({ users }) => users.flushes,
  ),
  branches(
    'palimpsest_branch_stored_blocks_total',
    'Blocks that commits stored in the save volume.',
    (branch) => branch.storedBlocks,
  ),
  branches(
    'palimpsest_branch_zero_blocks_total',
    'Blocks that were zeros and took none.',
    (branch) => branch.zeroBlocks,
  ),

  service('palimpsest_nbd_clients', 'NBD clients.', ({ clients }) => clients),
  service(
    'process_start_time_seconds',
    'When the daemon started, in seconds since 1970.',
    ({ startedAt }) => Date.parse(startedAt) / 1000,
  ),
  service(
    'process_cpu_seconds_total',
    'Processor time of the daemon.',
    ({ cpuSeconds }) => cpuSeconds,
  ),
  service(
    'process_resident_memory_bytes',
    'Memory of the daemon.',
    ({ residentBytes }) => residentBytes,
  ),
];
