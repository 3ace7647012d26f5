/**
 * One run of fio's NBD engine against one server, and what it cost the server: requests a second,
 * latency, CPU time. fio is the same client for every server.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Clock ticks a second in /proc/PID/stat; 100 on every Linux that Node runs on. */
const TICKS = 100;
/** A run that takes this long hangs. */
const TIMEOUT_MS = 120_000;

/**
 * @typedef {object} Job
 * @property {'randread' | 'randwrite' | 'read' | 'write' | 'randrw'} rw
 * @property {string} blockSize as fio spells it
 * @property {number} depth requests under way on each connection
 * @property {number} [connections] @default 1
 * @property {number} [bytes] carry out exactly so many bytes, each block once, instead of a time
 * @property {number} [offset] where the bytes start
 * @property {number} [reads] percent of a mixed load that are reads
 * @property {number} [times] as long as others, where two nearly equal rates are compared
 * @property {number} [flushEvery] writes after which one flush is asked for
 */

/**
 * @typedef {object} Result
 * @property {number} iops reads and writes; flushes are not counted
 * @property {number} latencyUs mean
 * @property {number} p99Us
 * @property {number} requests
 * @property {number} cpuSeconds of the server, user and system
 */

/**
 * Runs `job` against `uri` for `seconds` and accounts it to the server `pid`.
 * @param {{ uri: string, pid: number }} server
 * @param {Job} job
 * @param {{ seconds: number, size: number, seed: number }} options size: bytes of the export
 * @returns {Promise<Result>}
 */
export async function runFio({ uri, pid }, job, { seconds, size, seed }) {
  const before = cpuSeconds(pid);
  const output = await fio([
    '--name=bench',
    '--ioengine=nbd',
    `--uri=${uri}`,
    `--rw=${job.rw}`,
    `--bs=${job.blockSize}`,
    `--iodepth=${job.depth}`,
    `--numjobs=${job.connections ?? 1}`,
    `--randseed=${seed}`,
    '--allrandrepeat=1',
    '--group_reporting',
    '--output-format=json',
    ...(job.reads === undefined ? [] : [`--rwmixread=${job.reads}`]),
    ...(job.flushEvery === undefined ? [] : [`--fsync=${job.flushEvery}`]),
    ...(job.bytes === undefined
      ? [
          '--time_based',
          `--runtime=${seconds * (job.times ?? 1)}`,
          `--size=${size}`,
          '--norandommap',
        ]
      : [`--size=${job.bytes}`, `--offset=${job.offset ?? 0}`]),
  ]);
  const cpu = cpuSeconds(pid) - before;
  // The NBD engine prints a banner before the JSON.
  const { jobs } = JSON.parse(output.slice(output.indexOf('{')));
  const sides = [jobs[0].read, jobs[0].write].filter(({ total_ios }) => total_ios > 0);
  const requests = sum(sides.map(({ total_ios }) => total_ios));
  const share = (value) => sum(sides.map((side) => (side.total_ios / requests) * value(side)));
  return {
    iops: sum(sides.map(({ iops }) => iops)),
    latencyUs: share(({ lat_ns }) => lat_ns.mean) / 1000,
    p99Us: Math.max(...sides.map(({ clat_ns }) => clat_ns.percentile?.['99.000000'] ?? 0)) / 1000,
    requests,
    cpuSeconds: cpu,
  };
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** User and system time of a process with all its threads. */
export function cpuSeconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything: count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

function fio(args) {
  return new Promise((resolve, reject) => {
    execFile('fio', args, { timeout: TIMEOUT_MS, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`fio ${args.join(' ')}:\n${stdout}${stderr}`, { cause: error }));
    });
  });
}
