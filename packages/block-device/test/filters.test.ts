import { describe, expect, test } from 'vitest';
import { concat, createMemoryDevice, readOnly, slice } from '../src/index.js';
import { failing } from '../src/testing/index.js';

const memory = (blocks: number) => createMemoryDevice({ blockSize: 512, size: blocks * 512 });
const block = (fill: number, count = 1) => new Uint8Array(512 * count).fill(fill);

describe('slice', () => {
  test('shows its own blocks of the device, and no others', async () => {
    const device = memory(8);
    for (let index = 0; index < 8; index++) await device.write(block(index + 1), index * 512);
    const part = slice(device, 2 * 512, 3 * 512);
    expect(part.size).toBe(3 * 512);
    await part.write(block(99), 2 * 512);
    const all = new Uint8Array(8 * 512);
    await device.readInto(all, 0);
    expect([...all].filter((_, at) => at % 512 === 0)).toEqual([1, 2, 3, 4, 99, 6, 7, 8]);
    await expect(async () => part.write(block(1), 3 * 512)).rejects.toMatchObject({
      code: 'ERR_OUT_OF_RANGE',
      message: 'bytes 1536..2048 are outside the device of 1536 bytes',
    });
  });

  test('closing it leaves the device beneath open', async () => {
    const device = memory(8);
    await slice(device, 0, 512).close();
    await device.write(block(1), 0);
  });

  test.each([
    [0, 9 * 512, 'outside the device of 4096 bytes'],
    [-512, 512, 'outside the device'],
    [Number.NaN, 512, 'outside the device'],
    [100, 512, 'not whole blocks of 512 bytes'],
    [512, 100, 'not whole blocks of 512 bytes'],
  ])('refuses %d, %d', (position, length, message) => {
    expect(() => slice(memory(8), position, length)).toThrow(message);
  });

  test('of a read-only device is read-only', () => {
    expect(slice(readOnly(memory(8)), 0, 512).readOnly).toBe(true);
  });
});

describe('readOnly', () => {
  test('follows the device beneath, in content and size', async () => {
    const device = memory(8);
    const view = readOnly(device);
    await device.resize(9 * 512);
    await device.write(block(7), 8 * 512);
    const seen = block(0);
    await view.readInto(seen, 8 * 512);
    expect(seen).toEqual(block(7));
    await view.close();
    await device.write(block(7), 0);
  });
});

describe('concat', () => {
  test('spreads a request over the parts it touches', async () => {
    const parts = [memory(2), memory(1), memory(3)];
    const whole = concat(parts);
    expect(whole.size).toBe(6 * 512);
    const bytes = Uint8Array.from({ length: 4 * 512 }, (_, at) => 1 + Math.floor(at / 512));
    await whole.write(bytes, 512);
    const second = block(0, 1);
    await parts[1]?.readInto(second, 0);
    expect(second).toEqual(block(2));
    const seen = new Uint8Array(4 * 512);
    await whole.readInto(seen, 512);
    expect(seen).toEqual(bytes);
  });

  test('flushes every part, and fails when one does', async () => {
    const handles = [failing(memory(1)), failing(memory(1))];
    const whole = concat(handles.map((handle) => handle.device));
    await whole.flush();
    expect(handles.map((handle) => handle.calls.flush)).toEqual([1, 1]);
    handles[1]?.fail({ call: 'flush', nth: 1 });
    await expect(async () => whole.flush()).rejects.toMatchObject({ code: 'ERR_IO' });
    await expect(async () => whole.write(block(1), 0)).rejects.toMatchObject({
      code: 'ERR_FAILED',
    });
  });

  test('refuses no parts, and parts with different blocks', () => {
    expect(() => concat([])).toThrow('no devices');
    const other = createMemoryDevice({ blockSize: 4096, size: 4096 });
    expect(() => concat([memory(1), other])).toThrow('blocks of 4096 and of 512 bytes');
  });
});
