import { describe, expect, test } from 'vitest';
import { parseAge } from './ages.js';
import { formatSize, parseSize } from './sizes.js';

describe('sizes', () => {
  test.each([
    ['0', 0],
    ['4096', 4096],
    ['4096B', 4096],
    ['64M', 67_108_864],
    ['64MiB', 67_108_864],
    ['64mb', 67_108_864],
    ['1.5G', 1_610_612_736],
    ['16T', 17_592_186_044_416],
    ['1P', 1_125_899_906_842_624],
    [' 1 K ', 1024],
  ])('%j is %d bytes', (text, bytes) => expect(parseSize(text)).toBe(bytes));

  test.each(['', 'M', '-1', '1e3', '0x10', '64X', '1.3', '1.0001K', '9P9', '9999999999P', 'NaN'])(
    '%j is not a size',
    (text) => {
      expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: 'ERR_INVALID' }));
    },
  );

  test.each([
    [0, '0 bytes'],
    [512, '512 bytes'],
    [4096, '4 KiB'],
    [67_108_864, '64 MiB'],
    [1_610_612_736, '1.50 GiB'],
    [17_592_186_044_416, '16 TiB'],
  ])('%d is shown as %s', (bytes, text) => expect(formatSize(bytes)).toBe(text));
});

describe('ages', () => {
  test.each([
    ['90s', 90_000],
    ['15m', 900_000],
    ['2h', 7_200_000],
    ['3d', 259_200_000],
    ['1W', 604_800_000],
    ['2', undefined],
    ['h', undefined],
    ['2h3m', undefined],
    ['-2h', undefined],
  ])('%s', (text, ms) => expect(parseAge(text)).toBe(ms));
});
