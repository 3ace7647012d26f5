/**
 * Goal: the clients people use find what they expect: libnbd's, qemu's, fio's, over a Unix socket,
 * against a memory device and a file.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMemoryDevice } from '@palimpsest/block-device';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFileDevice } from './file-device.js';
import { haveTools, type Listening, listen, run, runOk, sha256 } from './tools.js';

const MIB = 1 << 20;
const SIZE = 64 * MIB;

/** Bytes with zero runs, like a disk image. */
function image(): Buffer {
  const bytes = Buffer.alloc(SIZE);
  for (let at = 0; at < SIZE; at += 3 * MIB) {
    const noise = Uint8Array.from({ length: 251 * 97 }, (_, i) => (i * i + at / MIB) % 255);
    bytes.fill(noise, at, Math.min(at + MIB, SIZE));
  }
  return bytes;
}

let at: Listening;
const device = createMemoryDevice({ size: SIZE });
const locked = createMemoryDevice({ size: SIZE });
const scratch = createMemoryDevice({ size: SIZE });

beforeAll(async () => {
  await device.write(image(), 0);
  at = await listen({ '': device, 'vol@monday': locked, 'vol/dev': scratch });
});
afterAll(async () => {
  expect([...at.leases.values()].every((count) => count === 0)).toBe(true);
  await at[Symbol.asyncDispose]();
});

describe.runIf(haveTools('nbdinfo', 'nbdcopy'))('libnbd', () => {
  test('nbdinfo --json, --list and --map', async () => {
    const info = JSON.parse(await runOk('nbdinfo', ['--json', at.uri()]));
    expect(info).toMatchObject({ protocol: 'newstyle-fixed', structured: true, TLS: false });
    expect(info.exports[0]).toMatchObject({
      'export-size': SIZE,
      contexts: ['base:allocation'],
      is_read_only: false,
      can_cache: true,
      can_df: true,
      can_fast_zero: true,
      can_flush: true,
      can_fua: true,
      can_multi_conn: true,
      can_trim: true,
      can_zero: true,
      block_size_minimum: 1,
      block_size_preferred: 4096,
      block_size_maximum: 32 * MIB,
    });
    const list = JSON.parse(await runOk('nbdinfo', ['--list', '--json', at.uri()]));
    const names = list.exports.map((e: Record<string, unknown>) => e['export-name']);
    expect(names).toEqual(['', 'vol@monday', 'vol/dev']);
    const map = JSON.parse(await runOk('nbdinfo', ['--map', '--json', at.uri()]));
    const covered = map.reduce((sum: number, { length }: { length: number }) => sum + length, 0);
    expect(covered).toBe(SIZE);
  });

  test('nbdinfo says so when there is no such export', async () => {
    const { status, stderr } = await run('nbdinfo', [at.uri('nothing')]);
    expect(status).not.toBe(0);
    expect(stderr).toContain('No such file or directory for export: nothing');
  });

  test.each([1, 4])('nbdcopy both ways, %i connections', async (connections) => {
    const file = join(at.directory, 'copy.img');
    const many = `--connections=${connections}`;
    await runOk('nbdcopy', [many, at.uri(), file]);
    expect(readFileSync(file).equals(image())).toBe(true);
    await runOk('nbdcopy', [many, '--flush', file, at.uri('vol/dev')]);
    expect(await sha256(scratch)).toBe(await sha256(device));
    await runOk('nbdcopy', [many, at.uri(), at.uri('vol@monday')]);
    expect(await sha256(locked)).toBe(await sha256(device));
  });
});

describe.runIf(haveTools('nbdsh'))('nbdsh', () => {
  test('requests that no library would send get their errors, and the session goes on', async () => {
    const script = `
import errno
h.set_strict_mode(0)
h.set_export_name("vol/dev")
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri("nbd+unix:///vol%2Fdev?socket=${at.socket}")
size = h.get_size()
def expect(code, call):
    try:
        call()
    except nbd.Error as e:
        assert e.errnum == code, (e.errnum, code, e.string)
        return
    assert code == 0, code
expect(errno.EINVAL, lambda: h.pread(2, size - 1))
expect(errno.ENOSPC, lambda: h.pwrite(b"xx", size - 1))
expect(errno.ENOSPC, lambda: h.zero(2, size - 1))
expect(errno.EINVAL, lambda: h.trim(2, size - 1))
expect(errno.EINVAL, lambda: h.pread(1, 2**63 - 1))
expect(errno.EINVAL, lambda: h.pread(512, 0, flags=0x80))
expect(errno.EINVAL, lambda: h.pwrite(b"x", 0, flags=0x40))
expect(0, lambda: h.flush(flags=nbd.CMD_FLAG_FUA))
expect(0, lambda: h.cache(4096, 0, flags=nbd.CMD_FLAG_FUA))
expect(0, lambda: h.pwrite(b"odd bytes", 4093, flags=nbd.CMD_FLAG_FUA))
assert bytes(h.pread(9, 4093, flags=nbd.CMD_FLAG_FUA)) == b"odd bytes"
expect(0, lambda: h.zero(5, 4094, flags=nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA))
assert bytes(h.pread(9, 4093)) == b"o" + bytes(5) + b"tes"
entries = []
h.block_status(size, 0, lambda context, offset, e, err: entries.extend(e))
assert sum(entries[0::2]) == size, entries
h.shutdown()
print("all as expected")
`;
    expect(await runOk('nbdsh', ['-c', script])).toContain('all as expected');
  });
});

describe.runIf(haveTools('qemu-img', 'qemu-io'))('qemu', () => {
  test('qemu-img info, convert, compare, map and bench', async () => {
    const info = JSON.parse(await runOk('qemu-img', ['info', '--output=json', at.uri()]));
    expect(info['virtual-size']).toBe(SIZE);
    const file = join(at.directory, 'image.img');
    writeFileSync(file, image());
    const raw = ['-f', 'raw', '-O', 'raw'];
    await runOk('qemu-img', ['convert', '-n', ...raw, file, at.uri('vol/dev')]);
    const same = await runOk('qemu-img', [
      'compare',
      '-f',
      'raw',
      '-F',
      'raw',
      file,
      at.uri('vol/dev'),
    ]);
    expect(same).toContain('identical');
    const copy = join(at.directory, 'copy.qcow2');
    await runOk('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', at.uri('vol/dev'), copy]);
    await runOk('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', copy, at.uri('vol/dev')]);
    const map = JSON.parse(
      await runOk('qemu-img', ['map', '--output=json', '-f', 'raw', at.uri()]),
    );
    expect(map.at(-1).start + map.at(-1).length).toBe(SIZE);
    await runOk('qemu-img', ['bench', '-f', 'raw', '-c', '2000', '-d', '16', at.uri()]);
    const writes = ['-w', '--flush-interval=50', '-c', '500', '-d', '16', '--pattern=77'];
    await runOk('qemu-img', ['bench', '-f', 'raw', ...writes, at.uri('vol/dev')]);
  });

  test('qemu-io patterns, with discard and write-zeroes, aligned and not', async () => {
    const commands = [
      'write -P 0x11 0 1M',
      'write -P 0x22 1000 5000',
      'write -f -P 0x33 2M 64k',
      'write -z 4096 8192',
      'write -z -u 3M 1M',
      'write -z 2097153 511',
      'discard 8M 4M',
      'write -P 0x44 8M 4096',
      'flush',
      'read -P 0x11 0 1000',
      'read -P 0x22 1000 3096',
      'read -P 0 4096 8192',
      'read -P 0x11 12288 1036288',
      'read -P 0x33 2M 1',
      'read -P 0 2097153 511',
      'read -P 0x33 2097664 65024',
      'read -P 0x44 8M 4096',
      'aio_write -P 0x55 10M 2M',
      'aio_write -P 0x66 14M 32M',
      'aio_flush',
      'read -P 0x66 14M 32M',
    ];
    const args = commands.flatMap((command) => ['-c', command]);
    const out = await runOk('qemu-io', ['-f', 'raw', ...args, at.uri('vol/dev')]);
    expect(out).not.toMatch(/verification failed|failed:/);
  });
});

describe.runIf(haveTools('fio'))('fio', () => {
  test.each([1, 16, 64])(
    'verify=crc32c at depth %i over several connections, on a file',
    async (depth) => {
      const path = join(at.directory, `fio-${depth}.img`);
      writeFileSync(path, Buffer.alloc(32 * MIB));
      await using file = openFileDevice(path);
      await using served = await listen({ '': file });
      const job = (name: string, offset: string, ...rest: string[]) => [
        `--name=${name}`,
        `--offset=${offset}`,
        ...rest,
      ];
      const out = await runOk('fio', [
        '--ioengine=nbd',
        `--uri=${served.uri()}`,
        `--iodepth=${depth}`,
        '--size=8M',
        '--verify=crc32c',
        '--verify_fatal=1',
        '--verify_state_save=0',
        '--do_verify=1',
        '--fsync=64',
        ...job('random', '0', '--rw=randwrite', '--bs=4k'),
        ...job('odd', '8M', '--rw=randwrite', '--bsrange=512-20k', '--bs_unaligned=1'),
        ...job('sequential', '16M', '--rw=write', '--bs=256k'),
        ...job('mixed', '24M', '--rw=randrw', '--bs=8k'),
      ]);
      expect(out).not.toMatch(/verify failed|bad magic/i);
      expect(out.match(/err= 0/g)?.length).toBe(4);
    },
  );
});
