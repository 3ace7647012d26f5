/**
 * What operations cost, on a file-backed device in the folder given (default: the system's for
 * temporary files), one at a time, awaited; CPU seconds beside the rates, which tell more on a busy
 * machine.
 *
 *   npx tsx --conditions=@palimpsest/source packages/toyfs/measure/speed.mts [folder]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileDevice } from '@palimpsest/block-device-file';
import { format, openFileSystem, ROOT_INO } from '@palimpsest/toyfs';

const folder = mkdtempSync(join(process.argv[2] ?? tmpdir(), 'toyfs-speed-'));
const device = await openFileDevice(join(folder, 'image'), { create: { size: 4 * 2 ** 30 } });
await format(device, { bytesPerInode: 8192 });
const fs = await openFileSystem(device);
const rows: Record<string, { 'a second': number; 'µs CPU each': number }> = {};

async function measure(
  what: string,
  count: number,
  work: () => Promise<void>,
  unit = 1,
): Promise<void> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  rows[what] = {
    'a second': Math.round((count * unit) / seconds),
    'µs CPU each': Number(((user + system) / count).toFixed(1)),
  };
  console.log(what, rows[what]);
}

const content = Buffer.alloc(100, 'content ');
for (const count of [10_000, Number(process.env.MANY ?? 100_000)]) {
  const directory = await fs.mkdir(ROOT_INO, Buffer.from(`of ${count}`), { mode: 0o755 });
  const other = await fs.mkdir(ROOT_INO, Buffer.from(`other of ${count}`), { mode: 0o755 });
  const name = (i: number): Buffer => Buffer.from(`file ${i}`);
  const of = `in ${count / 1000} k names`;
  await measure(`create and write 100 bytes, ${of}`, count, async () => {
    for (let i = 0; i < count; i++) {
      const ino = await fs.create(directory, name(i), { mode: 0o644 });
      await fs.write(ino, content, 0);
    }
    await fs.sync();
  });
  await measure(`look up and stat, ${of}`, count, async () => {
    for (let i = 0; i < count; i++)
      await fs.getattr(await fs.lookup(directory, name((i * 7919) % count)));
  });
  const buffer = Buffer.alloc(100);
  await measure(`look up and read 100 bytes, ${of}`, count, async () => {
    for (let i = 0; i < count; i++) {
      await fs.read(await fs.lookup(directory, name((i * 7919) % count)), buffer, 0);
    }
  });
  await measure(`rename, ${of}`, count, async () => {
    for (let i = 0; i < count; i++) await fs.rename(directory, name(i), other, name(i));
    await fs.sync();
  });
  await measure(`unlink, ${of}`, count, async () => {
    for (let i = 0; i < count; i++) await fs.unlink(other, name(i));
    await fs.sync();
  });
}
const big = await fs.create(ROOT_INO, Buffer.from('big'), { mode: 0o644 });
const mebibyte = Buffer.alloc(1 << 20, 'mebibyte ');
await measure('write in sequence, MiB', 256, async () => {
  for (let i = 0; i < 256; i++) await fs.write(big, mebibyte, i << 20);
  await fs.sync();
});
await measure('read in sequence, MiB', 256, async () => {
  for (let i = 0; i < 256; i++) await fs.read(big, mebibyte, i << 20);
});
await measure('write 4 KiB anywhere', 20_000, async () => {
  const block = Buffer.alloc(4096, 'block');
  for (let i = 0; i < 20_000; i++) await fs.write(big, block, ((i * 7919) % 65_536) * 4096);
  await fs.sync();
});
const synced = await fs.mkdir(ROOT_INO, Buffer.from('synced'), { mode: 0o755 });
await measure('create and fsync, 16 at once', 4000, async () => {
  await Promise.all(
    Array.from({ length: 16 }, async (_, worker) => {
      for (let i = 0; i < 250; i++) {
        const ino = await fs.create(synced, Buffer.from(`${worker} ${i}`), { mode: 0o644 });
        await fs.fsync(ino);
      }
    }),
  );
});
await measure('freeze and thaw', 20, async () => {
  for (let i = 0; i < 20; i++) {
    await fs.write(big, mebibyte, 0);
    await fs.freeze();
    await fs.thaw();
  }
});
await fs.close();
await measure('open and close', 20, async () => {
  for (let i = 0; i < 20; i++) await (await openFileSystem(device)).close();
});
await device.close();
rmSync(folder, { recursive: true });
