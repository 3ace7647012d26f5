/**
 * What the recovery row kills: `recovery-process.mjs build|open DIRECTORY BLOCKS`. It says when it is
 * where it should be, and does not end by itself.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createNodeEnvironment, silentLogger } from '../../apps/server/dist/environment.js';
import { openFileDevice } from '../../packages/block-device-file/dist/index.js';
import { createStore, openStore } from '../../packages/control/dist/index.js';
import {
  listProductionVolumes,
  openProductionVolume,
} from '../../packages/ro-snapshot/dist/index.js';
import { openSaveVolume } from '../../packages/save-volume/dist/index.js';
import { BLOCK } from './stores.mjs';

const [what, directory, count] = process.argv.slice(2);
const image = join(directory, 'disk.img');
const store = join(directory, 'store');
/** Blocks of a commit of the builder, and of the last ones: as many as a store commits by itself. */
const BULK = 120_000;
const HELD = 2048;

if (what === 'build') await build(Number(count));
else await open();

async function build(blocks) {
  const environment = createNodeEnvironment(silentLogger);
  // Large from the start, with holes: what it grows by, it would set aside on the disk.
  const saveSize = Math.ceil((blocks * 1.05 + 2 ** 18) / 16) * 16 * BLOCK;
  await createStore(store, { saveSize }, environment);
  const made = await openStore(store, environment);
  await made.adoptVolume({ name: 'prod', path: image });
  await made.createSnapshot({ volume: 'prod', name: 'base' });
  await made.close();
  // The engine itself, which takes a hundred thousand blocks with one commit.
  const device = holey(await openFileDevice(join(store, 'save.pal'), { blockSize: BLOCK }));
  const save = await openSaveVolume(device);
  const clone = await openFileDevice(image, { blockSize: BLOCK });
  const [record] = listProductionVolumes(save);
  const volume = await openProductionVolume(save, record.id, clone);
  const version = volume.snapshots[0].id;
  const distance = Math.floor(volume.size / BLOCK / blocks);
  const zeros = new Uint8Array(BLOCK);
  const put = (from, end, blockOf) =>
    save.transact((batch) => {
      for (let index = from; index < end; index += 1) {
        batch.put(record.id, blockOf(index), version, zeros);
      }
    });
  // The last ones stay in the journal, as many as it takes, in no order.
  const last = Math.min(Math.floor(blocks / 2), 220_000);
  for (let from = 0; from < blocks - last; from += BULK) {
    const end = Math.min(blocks - last, from + BULK);
    await put(from, end, (index) => index * distance);
  }
  await save.checkpoint();
  for (let from = 0; from < last; from += HELD) {
    const end = Math.min(last, from + HELD);
    await put(from, end, (index) => ((index * 7_919_017) % blocks) * distance + 1);
  }
  const bytes = new Uint8Array(BLOCK).fill(1);
  for (let index = 0; index < 64; index += 1) {
    await volume.device.write(bytes, (index * distance + 2) * BLOCK); // killed before their flush
  }
  process.send({ pending: save.map.pending.count });
}

async function open() {
  const environment = createNodeEnvironment(silentLogger);
  const opened = await openStore(store, environment);
  const share = await opened.openExport('prod');
  const bytes = new Uint8Array(BLOCK);
  await share.device.readInto(bytes, BLOCK);
  await share.device.write(bytes.fill(3), 2 * BLOCK);
  await share.device.flush();
  const ms = performance.now();
  const rssKiB = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]);
  process.send({ ms, rssKiB });
}

/** A file's device that leaves zeros out where nothing was written before. */
function holey(device) {
  const written = new Set();
  const zeros = Buffer.alloc(2 ** 23);
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name !== 'write') return typeof value === 'function' ? value.bind(target) : value;
      return (source, position) => {
        const blocks = Array.from(
          { length: source.length / BLOCK },
          (_, n) => position / BLOCK + n,
        );
        const isHole = !blocks.some((block) => written.has(block));
        if (isHole && zeros.compare(source, 0, source.length, 0, source.length) === 0) return;
        for (const block of blocks) written.add(block);
        return target.write(source, position);
      };
    },
  });
}
