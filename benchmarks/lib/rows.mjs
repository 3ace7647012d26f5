/**
 * What is measured over NBD: for each row one job, our server first, then those it is compared with.
 * A budget is a ratio the project aims at: `atLeast` for rates (ours / peer), `atMost` for latencies
 * (ours / peer). Rows without a budget are there to be looked at.
 */

const MIB = 1 << 20;

/** @typedef {import('./fio.mjs').Job} Job */
/**
 * @typedef {object} Row
 * @property {string} section
 * @property {string} what
 * @property {Job} job
 * @property {string} ours a target
 * @property {{ target: string, atLeast?: number, atMost?: number }[]} peers
 * @property {'rate' | 'latency'} [measure] @default 'rate'
 * @property {boolean} [once] measured in the first round alone: it takes long, or is for information
 */

/** @type {(rw: Job['rw'], depth: number, more?: Partial<Job>) => Job} */
const small = (rw, depth, more) => ({ rw, blockSize: '4k', depth, ...more });

const PLAIN = 'ours: production';
const RAW = 'qemu-nbd raw';
const FILE = 'nbdkit file';
const COW = 'nbdkit cow';
const OVERLAY = 'qemu-nbd qcow2 overlay';
const SNAPSHOT = 'qemu-nbd qcow2 with snapshots';

const PRODUCTION = 'Production without snapshots';
const SNAPSHOTS = 'Production with snapshots';
const BRANCHES = 'Branches';
const FLUSHES = 'Flushes';

/** Each block of this many bytes once: what first writes are measured on. */
const ONCE = { bytes: 64 * MIB };
/** Ours beside ours. */
const LONG = { times: 3 };
const MIXED = { reads: 70, flushEvery: 32, bytes: 32 * MIB };

/** @type {Row[]} */
export const ROWS = [
  ...['randread', 'randwrite'].flatMap((rw) => {
    const what = `4 KiB random ${rw === 'randread' ? 'read' : 'write'}`;
    return [
      row(PRODUCTION, `${what}, depth 1`, small(rw, 1), PLAIN, [RAW, 1], [FILE]),
      row(PRODUCTION, `${what}, depth 16`, small(rw, 16), PLAIN, [RAW], [FILE]),
      row(PRODUCTION, `${what}, depth 64`, small(rw, 64), PLAIN, [RAW, 1.5], [FILE, 1]),
      row(
        ...[PRODUCTION, `${what}, 4 connections × depth 16`],
        ...[small(rw, 16, { connections: 4 }), PLAIN, [RAW], [FILE]],
      ),
    ];
  }),
  ...['read', 'write'].map((rw) => {
    const job = { rw, blockSize: '256k', depth: 16 };
    return row(PRODUCTION, `256 KiB sequential ${rw}, depth 16`, job, PLAIN, [RAW, 1], [FILE]);
  }),

  row(
    ...[SNAPSHOTS, 'first writes, depth 64', small('randwrite', 64, ONCE), 'ours: first writes'],
    ['qemu-nbd qcow2 after snapshot', 2],
  ),
  row(
    ...[SNAPSHOTS, 'rewrites, depth 64', small('randwrite', 64, ONCE)],
    ...['ours: production with snapshots', [SNAPSHOT], [RAW]],
  ),
  {
    section: SNAPSHOTS,
    what: 'first writes, depth 1, mean latency',
    // Two thousand requests are over in a quarter of a second, and tell the noise of the machine.
    job: small('randwrite', 1, { bytes: 32 * MIB, offset: 128 * MIB }),
    ours: 'ours: first writes',
    peers: [{ target: PLAIN, atMost: 1.3 }],
    measure: 'latency',
  },
  row(
    ...[SNAPSHOTS, 'oldest of 1,000, random read, depth 64', small('randread', 64, LONG)],
    ...['ours: oldest snapshot', ['ours: youngest snapshot', 0.9], [PLAIN]],
  ),
  row(
    ...[SNAPSHOTS, 'random read while a restore runs, depth 64', small('randread', 64)],
    ...['ours: during a restore', [PLAIN]],
  ),
  row(
    ...[SNAPSHOTS, 'first writes while a restore runs, depth 64', small('randwrite', 64, ONCE)],
    ...['ours: during a restore', ['ours: first writes']],
  ),

  row(
    ...[BRANCHES, 'first writes, depth 64', small('randwrite', 64, ONCE), 'ours: new branch'],
    ...[['qemu-nbd new qcow2 overlay', 2], [COW]],
  ),
  row(
    ...[BRANCHES, 'rewrites, depth 64', small('randwrite', 64, ONCE), 'ours: newest branch'],
    ...[[OVERLAY], [COW]],
  ),
  row(
    ...[BRANCHES, 'random read, depth 64', small('randread', 64, LONG), 'ours: newest branch'],
    ...[[PLAIN, 0.8], [OVERLAY]],
  ),
  row(
    ...[BRANCHES, 'branch of a branch, first writes, depth 64', small('randwrite', 64, ONCE)],
    ...['ours: new branch of a branch', ['qemu-nbd new qcow2 overlay']],
  ),
  row(
    ...[BRANCHES, 'branch of a branch, random read, depth 64', small('randread', 64)],
    ...['ours: newest branch of a branch', [PLAIN], ['ours: newest branch']],
  ),

  row(
    ...[FLUSHES, '70 % reads, a flush every 32 writes, depth 16'],
    ...[small('randrw', 16, { reads: 70, flushEvery: 32 }), PLAIN, [RAW], [FILE]],
  ),
  row(
    ...[FLUSHES, 'the same with snapshots, first writes', small('randrw', 16, MIXED)],
    ...['ours: first writes', ['qemu-nbd qcow2 after snapshot']],
  ),
  ...[1, 4, 16].map((connections) =>
    row(
      ...[FLUSHES, `a flush after each write, connections: ${connections}`],
      ...[small('randwrite', 1, { flushEvery: 1, connections }), PLAIN, [RAW], [FILE]],
    ),
  ),
  row(
    ...[FLUSHES, 'a flush after each first write, connections: 16'],
    ...[small('randwrite', 1, { flushEvery: 1, connections: 16 }), 'ours: first writes'],
    ['qemu-nbd qcow2 after snapshot'],
  ),

  once(
    ...['Cold cache', '4 KiB random read, depth 16', small('randread', 16)],
    ...['ours: production, cold', ['qemu-nbd raw, cold'], ['nbdkit file, cold']],
  ),
];

/** A row of rates; each peer with what ours must reach of it, if anything. */
function row(section, what, job, ours, ...peers) {
  return {
    section,
    what,
    job,
    ours,
    peers: peers.map(([target, atLeast]) =>
      atLeast === undefined ? { target } : { target, atLeast },
    ),
  };
}

function once(...args) {
  return { ...row(...args), once: true };
}
