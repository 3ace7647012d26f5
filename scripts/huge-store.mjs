/**
 * Opening a huge store after `kill -9`: a 16 TiB sparse image with ten million saved blocks.
 *
 * Goal: DESIGN's budget: from a cold start to the first I/O in less than two seconds, in less than 256
 * MiB of memory. Method: a process of its own builds the store through the packages, bulk commits of
 * blocks spread over the whole image (saved zeros, which a sparse file need not store, checksummed like
 * any others), fills the journal after the last checkpoint with blocks in no order, and is killed. A
 * fresh process opens the store, reads production and a snapshot, makes a first write and flushes it;
 * then it works at random places for a while, since memory that grows later counts as well.
 *
 * Options: --blocks N (10000000), --dir DIR (the system's folder for temporary files; it must have room
 * for some GiB), --keep. Prints `huge-store-open-ms value target` and `huge-store-rss-mib value target`,
 * and exits with 1 when one is missed; stderr has the memory after the work and after the closing
 * checkpoint too.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    blocks: { type: 'string', default: '10000000' },
    dir: { type: 'string', default: tmpdir() },
    keep: { type: 'boolean', default: false },
  },
});
const BLOCKS = Number(values.blocks);
const BLOCK = 4096;
const TARGETS = { openMs: 2000, rssMib: 256 };
/** Blocks a commit of the builder: as many as fit in a journal record. */
const BULK = 120_000;
/** Blocks committed after the last checkpoint, so that the journal is as full as it gets. */
const LAST = 220_000;
/** As many to a commit as a store holds before it commits by itself. */
const HELD = 2048;
const WORK = 20_000;

/** The built packages: this measures what ships. */
async function packages() {
  const load = (name) => import(new URL(`../packages/${name}/dist/index.js`, import.meta.url).href);
  const [file, device, save, snapshots] = await Promise.all(
    ['block-device-file', 'block-device', 'save-volume', 'ro-snapshot'].map(load),
  );
  return { ...file, ...device, ...save, ...snapshots };
}

/** A device that leaves zeros out where the file is still a hole. */
function sparse(device, checked) {
  const written = new Set();
  const zeros = new Uint8Array(1 << 20);
  return checked({
    blockSize: device.blockSize,
    get size() {
      return device.size;
    },
    readOnly: false,
    readInto: (target, position) => device.readInto(target, position),
    write(source, position) {
      const isZero = Buffer.compare(source, zeros.subarray(0, source.length)) === 0;
      const first = position / BLOCK;
      const count = source.length / BLOCK;
      let fresh = isZero;
      for (let block = first; fresh && block < first + count; block += 1)
        fresh = !written.has(block);
      if (fresh) return undefined;
      for (let block = first; block < first + count; block += 1) written.add(block);
      return device.write(source, position);
    },
    flush: () => device.flush(),
    close: () => device.close(),
  });
}

/** Builds the store, says so, and waits to be killed. */
async function build(dir) {
  const api = await packages();
  const size = 2 ** 44 - 65_536; // the largest file of some file systems is a page short of 16 TiB
  const image = join(dir, 'disk.img');
  closeSync(openSync(image, 'wx'));
  truncateSync(image, size);
  const saveBytes = Math.ceil((BLOCKS * BLOCK * 1.05 + (1 << 30)) / BLOCK) * BLOCK;
  const file = await api.openFileDevice(join(dir, 'save.pal'), { create: { size: saveBytes } });
  await api.formatSaveVolume(file);
  const save = await api.openSaveVolume(sparse(file, api.checked));
  const clone = await api.openFileDevice(image);
  const volume = await api.createProductionVolume(save, clone, { name: 'prod' });
  const { id: snapshot } = await volume.createSnapshot({ name: 'first' });
  const data = new Uint8Array(BLOCK);
  const stride = Math.floor(size / BLOCK / BLOCKS);
  const bulk = BLOCKS - LAST;
  for (let done = 0; done < bulk; done += BULK) {
    await save.transact((batch) => {
      for (let index = done; index < Math.min(bulk, done + BULK); index += 1) {
        batch.put(volume.id, index * stride, snapshot, data);
      }
    });
  }
  await save.checkpoint();
  for (let done = 0; done < LAST; done += HELD) {
    await save.transact((batch) => {
      for (let index = done; index < Math.min(LAST, done + HELD); index += 1) {
        const place = (index * 7_919_017) % BLOCKS; // no order, none twice
        batch.put(volume.id, place * stride + 1, snapshot, data);
      }
    });
  }
  process.stdout.write(`built ${JSON.stringify({ volume: volume.id, snapshot, stride })}\n`);
  setInterval(() => {}, 1000);
}

/** Opens it, works with it, and prints what that took. */
async function open(dir, built) {
  const { volume: id, snapshot, stride } = JSON.parse(built);
  const api = await packages();
  const from = process.hrtime.bigint();
  const file = await api.openFileDevice(join(dir, 'save.pal'));
  const clone = await api.openFileDevice(join(dir, 'disk.img'));
  const save = await api.openSaveVolume(file);
  const openedMs = Number(process.hrtime.bigint() - from) / 1e6;
  const volume = await api.openProductionVolume(save, id, clone);
  const block = new Uint8Array(BLOCK);
  await volume.device.readInto(block, (BLOCKS / 2) * stride * BLOCK);
  await volume.device.write(new Uint8Array(BLOCK).fill(7), 12_345 * BLOCK);
  await volume.device.flush();
  const frozen = volume.openSnapshot(snapshot);
  await frozen.readInto(block, 12_345 * BLOCK);
  if (block.some((byte) => byte !== 0)) throw new Error('the snapshot has changed');
  const openMs = Number(process.hrtime.bigint() - from) / 1e6;
  const rssMib = peakMib();
  for (let step = 0; step < WORK; step += 1) {
    const place = Math.floor((step * 7_919_017) % BLOCKS) * stride;
    await frozen.readInto(block, place * BLOCK);
    if (step % 4 === 0) await volume.device.write(block, (place + 2) * BLOCK);
  }
  await volume.device.flush();
  const { records } = save.recovered;
  const workMib = peakMib();
  await volume.close();
  await save.close();
  const seen = { openMs, openedMs, rssMib, workMib, records, closeMib: peakMib() };
  process.stdout.write(`${JSON.stringify(seen)}\n`);
}

/** The most memory this process ever had. */
function peakMib() {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return line === null ? process.memoryUsage().rss / 2 ** 20 : Number(line[1]) / 1024;
}

/** Runs a part in a process of its own; resolves with its first line, the process still running. */
function part(name, ...rest) {
  const args = [import.meta.filename ?? new URL(import.meta.url).pathname, name, ...rest];
  const child = spawn(process.execPath, [...args, '--blocks', String(BLOCKS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (bytes) => {
      text += bytes;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    child.on('close', (code) => reject(new Error(`${name} ended with ${code} and said: ${text}`)));
  });
  return { child, line };
}

async function main() {
  const dir = mkdtempSync(join(values.dir, 'palimpsest-huge-'));
  try {
    const builder = part('build', dir);
    const built = (await builder.line).slice('built '.length);
    const dead = new Promise((resolve) => builder.child.on('close', resolve));
    builder.child.kill('SIGKILL');
    await dead;
    const used = statSync(join(dir, 'save.pal')).blocks / 2048;
    process.stderr.write(`${BLOCKS} saved blocks, ${Math.round(used)} MiB on disk\n`);
    const seen = JSON.parse(await part('open', dir, built).line);
    process.stderr.write(`${JSON.stringify(seen)}\n`);
    const results = [
      ['huge-store-open-ms', seen.openMs, TARGETS.openMs],
      ['huge-store-rss-mib', seen.rssMib, TARGETS.rssMib],
    ];
    for (const [name, value, target] of results) {
      process.stdout.write(`${name} ${Math.round(value)} ${target}\n`);
      if (value > target) process.exitCode = 1;
    }
  } finally {
    if (!values.keep) rmSync(dir, { recursive: true, force: true });
  }
}

const [role, dir, built] = positionals;
if (role === 'build') await build(dir);
else if (role === 'open') await open(dir, built);
else await main();
