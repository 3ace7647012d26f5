/**
 * Foreign clients against the built daemon: libnbd's tools, qemu's, fio. None of them knows us, so each
 * is a second opinion on the protocol and on what the bytes should be. A missing tool is a failure.
 *
 * Method: one store with a production volume, a snapshot and a branch; each check leaves the exports in
 * a state the next can start from. Prints `clients done target seconds`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertBuilt, control, nbdUri, pal, startDaemon } from './lib/daemon.mjs';
import { random } from './lib/random.mjs';
import { Checks, missingTools, same, tool, Undo } from './lib/steps.mjs';

const SIZE = 64 << 20;
const undo = new Undo();
const checks = new Checks('clients');
const work = mkdtempSync(join(tmpdir(), 'palimpsest-clients-'));
undo.push(work, () => rmSync(work, { recursive: true, force: true }));
const store = join(work, 'store');
const uri = (name) => nbdUri(store, name);
const file = (name) => join(work, name);
const raw = ['-f', 'raw'];

async function sha256(path) {
  return (await tool('sha256sum', path)).split(' ')[0];
}

async function sha256OfExport(name) {
  await tool('nbdcopy', uri(name), file('sum.raw'));
  return sha256(file('sum.raw'));
}

/** A file of noise with a hole of zeros in the middle, the same for every run. */
function writeNoise(path) {
  const rng = random(11);
  const bytes = Buffer.alloc(SIZE);
  for (let at = 0; at < SIZE; at += 4) bytes.writeUInt32LE(rng.next(), at);
  bytes.fill(0, SIZE / 2, SIZE / 2 + (8 << 20));
  writeFileSync(path, bytes);
}

const qemuIo = (name, ...commands) =>
  tool('qemu-io', ...raw, ...commands.flatMap((command) => ['-c', command]), uri(name)).then(
    (said) => {
      // qemu-io exits with 0 when a pattern does not match: only its words tell.
      if (/fail|error|mismatch/i.test(said)) throw new Error(said);
    },
  );

const fio = (name, ...options) =>
  tool('fio', '--name=job', '--ioengine=nbd', `--uri=${uri(name)}`, '--minimal', ...options);

async function information() {
  await checks.check('nbdinfo --list', async () => {
    const said = await tool('nbdinfo', '--list', '--json', uri(''));
    const names = JSON.parse(said).exports.map((each) => each['export-name']);
    for (const name of ['prod', 'prod@monday', 'prod/dev']) {
      if (!names.includes(name)) throw new Error(`${name} is not among ${names.join(', ')}`);
    }
    return names.join(', ');
  });
  await checks.check('nbdinfo --json', async () => {
    const prod = JSON.parse(await tool('nbdinfo', '--json', uri('prod'))).exports[0];
    same(prod['export-size'], SIZE, 'size of prod');
    same(prod.is_read_only, false, 'prod is read-only');
    for (const can of ['flush', 'fua', 'multi_conn', 'trim', 'zero', 'fast_zero', 'cache', 'df']) {
      same(prod[`can_${can}`], true, `prod can ${can}`);
    }
    const monday = JSON.parse(await tool('nbdinfo', '--json', uri('prod@monday'))).exports[0];
    same(monday.is_read_only, true, 'prod@monday is read-only');
  });
  await checks.check('nbdinfo --map covers the whole export', async () => {
    for (const name of ['prod', 'prod@monday', 'prod/dev']) {
      const map = JSON.parse(await tool('nbdinfo', '--map', '--json', uri(name)));
      const covered = map.reduce((sum, { length }) => sum + length, 0);
      same(covered, SIZE, `bytes mapped of ${name}`);
    }
  });
  await checks.check('an unknown export is refused by name', async () => {
    const refused = await tool('nbdinfo', uri('nobody')).then(
      () => false,
      () => true,
    );
    same(refused, true, 'nbdinfo nobody is refused');
  });
}

async function copies() {
  await checks.check('nbdcopy in and out, 4 connections, checksums agree', async () => {
    await tool('nbdcopy', '--connections=4', '--flush', file('noise.raw'), uri('prod'));
    await tool('nbdcopy', '--connections=4', uri('prod'), file('back.raw'));
    same(await sha256(file('back.raw')), await sha256(file('noise.raw')), 'sha256');
  });
  await checks.check('qemu-img info, compare, convert, map', async () => {
    const info = JSON.parse(await tool('qemu-img', 'info', '--output=json', uri('prod')));
    same(info['virtual-size'], SIZE, 'virtual size');
    await tool('qemu-img', 'compare', ...raw, '-F', 'raw', file('noise.raw'), uri('prod'));
    await tool('qemu-img', 'convert', ...raw, '-O', 'qcow2', uri('prod'), file('prod.qcow2'));
    await tool('qemu-img', 'compare', ...raw, '-F', 'qcow2', uri('prod'), file('prod.qcow2'));
    const map = JSON.parse(await tool('qemu-img', 'map', ...raw, '--output=json', uri('prod')));
    same(
      map.reduce((sum, { length }) => sum + length, 0),
      SIZE,
      'bytes mapped',
    );
    await tool(
      'qemu-img',
      'convert',
      '-n',
      '-f',
      'qcow2',
      '-O',
      'raw',
      file('prod.qcow2'),
      uri('prod/dev'),
    );
    await tool('qemu-img', 'compare', ...raw, '-F', 'raw', file('noise.raw'), uri('prod/dev'));
  });
  await checks.check('the snapshot still reads as zeros', async () => {
    writeFileSync(file('zeros.raw'), Buffer.alloc(SIZE));
    same(await sha256OfExport('prod@monday'), await sha256(file('zeros.raw')), 'sha256');
  });
  await checks.check('qemu-img bench reads and writes', async () => {
    const bench = (...options) =>
      tool(
        'qemu-img',
        'bench',
        ...raw,
        '-c',
        4000,
        '-d',
        32,
        '-s',
        4096,
        ...options,
        uri('prod/dev'),
      );
    await bench();
    await bench('-w', '--flush-interval=200');
  });
}

async function patterns() {
  for (const name of ['prod', 'prod/dev']) {
    await checks.check(`qemu-io patterns, discard, write-zeroes on ${name}`, async () => {
      await qemuIo(name, 'write -P 0xa1 0 1M', 'read -P 0xa1 0 1M');
      await qemuIo(name, 'write -P 0xb2 4k 4k', 'read -P 0xa1 0 4k', 'read -P 0xb2 4k 4k');
      // Not whole blocks: the server merges what is smaller than one.
      await qemuIo(name, 'write -P 0xc3 512 1024', 'read -P 0xa1 0 512', 'read -P 0xc3 512 1024');
      await qemuIo(
        name,
        'read -P 0xa1 1536 2560',
        'write -f -P 0xd4 8k 512',
        'read -P 0xd4 8k 512',
      );
      await qemuIo(name, 'write -z 64k 64k', 'read -P 0 64k 64k', 'write -z -u 128k 64k');
      await qemuIo(name, 'read -P 0 128k 64k', 'discard 256k 64k', 'read -P 0xa1 320k 64k');
      await qemuIo(name, 'write -P 0xe5 1048064 1024', 'read -P 0xe5 1048064 1024', 'flush');
      await qemuIo(name, 'aio_write -P 0xf6 2M 1M', 'aio_flush', 'read -P 0xf6 2M 1M');
    });
  }
  await checks.check('a snapshot refuses to be written', async () => {
    const refused = await qemuIo('prod@monday', 'write -P 1 0 4k').then(
      () => false,
      () => true,
    );
    same(refused, true, 'the write is refused');
  });
}

async function load() {
  for (const [depth, connections] of [
    [1, 1],
    [16, 1],
    [64, 4],
  ]) {
    for (const name of ['prod', 'prod/dev']) {
      await checks.check(`fio verify=crc32c on ${name}, depth ${depth} x ${connections}`, () =>
        fio(
          name,
          `--iodepth=${depth}`,
          `--numjobs=${connections}`,
          '--rw=randwrite',
          '--bs=4k',
          `--size=${depth === 1 ? 2 : 8}M`,
          '--offset_increment=8M',
          '--verify=crc32c',
          '--verify_fatal=1',
          '--fsync=256',
          '--randseed=5',
        ).then(() => undefined),
      );
    }
  }
  // 3 KiB blocks share our 4 KiB ones, so writes in flight at once meet in one block.
  await checks.check('fio verify=crc32c with blocks that are not ours, depth 32', () =>
    fio(
      'prod',
      '--iodepth=32',
      '--rw=randwrite',
      '--bs=3k',
      '--size=24M',
      '--verify=crc32c',
      '--verify_fatal=1',
      '--randseed=9',
    ).then(() => undefined),
  );
}

const missing = missingTools(['nbdinfo', 'nbdcopy', 'qemu-img', 'qemu-io', 'fio', 'sha256sum']);
if (missing.length > 0) {
  console.error(`missing tools: ${missing.join(', ')}`);
  process.exit(1);
}
assertBuilt();
try {
  await pal(store, 'init', store);
  await pal(store, 'volume', 'create', 'prod', '--size', `${SIZE}`);
  const daemon = await startDaemon(store);
  const stop = undo.push('daemon', () => daemon.stop());
  // New snapshots and branches are exports at once, without a restart.
  await control.createSnapshot(store, 'prod@monday');
  await control.createBranch(store, 'prod/dev', 'prod@monday');
  writeNoise(file('noise.raw'));
  await information();
  await copies();
  const monday = await sha256OfExport('prod@monday');
  await patterns();
  await load();
  await checks.check('the snapshot has not changed', async () => {
    same(await sha256OfExport('prod@monday'), monday, 'sha256');
  });
  await checks.check('the daemon stops in order, within its time', stop);
} finally {
  await undo.all();
}
checks.finish();
