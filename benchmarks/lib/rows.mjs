/**
 * What is measured: for each row one job, our server first, then those it is compared with. A
 * budget is a ratio the project aims at: `atLeast` for rates (ours / peer), `atMost` for
 * latencies (ours / peer). Rows without a budget are there to be looked at.
 */

const MIB = 1 << 20;

/** @typedef {import('./fio.mjs').Job} Job */
/**
 * @typedef {object} Row
 * @property {string} what
 * @property {Job} job
 * @property {string} ours a target
 * @property {{ target: string, atLeast?: number, atMost?: number }[]} peers
 * @property {'rate' | 'latency'} [measure] @default 'rate'
 */

/** @type {(rw: Job['rw'], depth: number, more?: Partial<Job>) => Job} */
const small = (rw, depth, more) => ({ rw, blockSize: '4k', depth, ...more });

const PLAIN = 'ours: production';
const RAW = 'qemu-nbd raw';
const FILE = 'nbdkit file';

/** @type {Row[]} */
export const ROWS = [
  ...['randread', 'randwrite'].flatMap((rw) => {
    const what = `production, 4 KiB ${rw === 'randread' ? 'random read' : 'random write'}`;
    return [
      row(`${what}, depth 1`, small(rw, 1), PLAIN, [RAW, 1], [FILE]),
      row(`${what}, depth 16`, small(rw, 16), PLAIN, [RAW], [FILE]),
      row(`${what}, depth 64`, small(rw, 64), PLAIN, [RAW, 1.5], [FILE, 1]),
      row(`${what}, 4 × depth 16`, small(rw, 16, { connections: 4 }), PLAIN, [RAW], [FILE]),
    ];
  }),
  ...['read', 'write'].map((rw) => {
    const job = { rw, blockSize: '256k', depth: 16 };
    return row(`production, 256 KiB sequential ${rw}, depth 16`, job, PLAIN, [RAW, 1], [FILE]);
  }),
  row(
    'first writes after a snapshot, depth 64',
    small('randwrite', 64, { bytes: 64 * MIB }),
    'ours: first writes',
    ['qemu-nbd qcow2 after snapshot', 2],
  ),
  row(
    'rewrites after a snapshot, depth 64',
    small('randwrite', 64, { bytes: 64 * MIB }),
    'ours: production with snapshots',
    ['qemu-nbd qcow2 with snapshots'],
    [RAW],
  ),
  {
    what: 'first writes after a snapshot, depth 1, latency',
    job: small('randwrite', 1, { bytes: 8 * MIB, offset: 128 * MIB }),
    ours: 'ours: first writes',
    peers: [{ target: PLAIN, atMost: 1.3 }],
    measure: 'latency',
  },
  row(
    'branch, first writes, depth 64',
    small('randwrite', 64, { bytes: 64 * MIB }),
    'ours: new branch',
    ['qemu-nbd new qcow2 overlay', 2],
    ['nbdkit cow'],
  ),
  row(
    'branch, rewrites, depth 64',
    small('randwrite', 64, { bytes: 64 * MIB }),
    'ours: newest branch',
    ['qemu-nbd qcow2 overlay'],
    ['nbdkit cow'],
  ),
  row(
    'branch, random read, depth 64',
    small('randread', 64),
    'ours: newest branch',
    [PLAIN, 0.8],
    ['qemu-nbd qcow2 overlay'],
  ),
  row(
    'oldest snapshot, random read, depth 64',
    small('randread', 64),
    'ours: oldest snapshot',
    ['ours: youngest snapshot', 0.9],
    [PLAIN],
  ),
];

/** A row of rates; each peer with what ours must reach of it, if anything. */
function row(what, job, ours, ...peers) {
  return {
    what,
    job,
    ours,
    peers: peers.map(([target, atLeast]) =>
      atLeast === undefined ? { target } : { target, atLeast },
    ),
  };
}
