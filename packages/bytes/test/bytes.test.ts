import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BitMap, checksum, getU48, identitySeed, layout, setU48, viewOf } from '../src/index.js';

describe('layout', () => {
  const RECORD = layout(32, [
    { offset: 0, name: 'a', type: 'u8', meaning: '' },
    { offset: 1, name: 'b', type: 'u8', meaning: '' },
    { offset: 2, name: 'c', type: 'u16', meaning: '' },
    { offset: 4, name: 'd', type: 'u32', meaning: '' },
    { offset: 8, name: 'e', type: 'u48', meaning: '' },
    { offset: 14, name: 'f', type: 'u64', meaning: '' },
    { offset: 22, name: 'g', type: 10, meaning: '' },
  ]);

  test('what is encoded is decoded, little-endian and at its offset', () => {
    const values = {
      a: 1,
      b: 255,
      c: 0x1234,
      d: 0xffff_fffe,
      e: 2 ** 48 - 3,
      f: Number.MAX_SAFE_INTEGER,
      g: Uint8Array.from({ length: 10 }, (_, i) => i + 1),
    };
    const bytes = new Uint8Array(40);
    RECORD.encode(bytes, 8, values);
    expect(RECORD.decode(bytes, 8)).toEqual(values);
    expect([...bytes.subarray(10, 12)]).toEqual([0x34, 0x12]);
    expect(RECORD.at.g).toBe(22);
    expect(bytes.subarray(0, 8).every((byte) => byte === 0)).toBe(true);
  });

  test('a gap, an overlap or a wrong size is refused when the record is described', () => {
    const field = (offset: number) => ({ offset, name: 'x', type: 'u32', meaning: '' }) as const;
    expect(() => layout(8, [field(0), field(5)])).toThrow(/expected 4/);
    expect(() => layout(8, [field(0), field(3)])).toThrow(/expected 4/);
    expect(() => layout(12, [field(0), field(4)])).toThrow(/8 of 12/);
  });

  test('a negative or fractional number is refused', () => {
    const record = layout(4, [{ offset: 0, name: 'x', type: 'u32', meaning: '' }]);
    expect(() => record.encode(new Uint8Array(4), 0, { x: -1 })).toThrow(RangeError);
    expect(() => record.encode(new Uint8Array(4), 0, { x: 0.5 })).toThrow(RangeError);
  });

  test('48-bit numbers survive beyond 2^32', () => {
    const view = viewOf(new Uint8Array(8));
    for (const value of [0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 47 + 12_345, 2 ** 48 - 1]) {
      setU48(view, 1, value);
      expect(getU48(view, 1)).toBe(value);
    }
  });
});

describe('checksum', () => {
  test('is CRC-32 of IEEE 802.3', () => {
    expect(checksum(new TextEncoder().encode('123456789'))).toBe(0xcbf4_3926);
  });

  test('the same bytes under another identity check out differently', () => {
    const zeros = new Uint8Array(4096);
    const seen = new Set<number>();
    for (let space = 1; space <= 8; space += 1) {
      for (const block of [0, 1, 2, 2 ** 31, 2 ** 32, 2 ** 32 + 1, 2 ** 40]) {
        seen.add(checksum(zeros, identitySeed(space, block)));
      }
    }
    expect(seen.size).toBe(8 * 7);
    expect(seen.has(0)).toBe(false);
  });
});

test('BitMap agrees with a Set', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 300 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat(299))),
      (length, steps) => {
        const map = new BitMap(length);
        const model = new Set<number>();
        for (const [set, at] of steps) {
          const index = at % length;
          if (set) expect(map.add(index)).toBe(!model.has(index));
          else expect(map.delete(index)).toBe(model.has(index));
          if (set) model.add(index);
          else model.delete(index);
        }
        expect(map.count()).toBe(model.size);
        const from = length >> 1;
        let clear = from;
        while (clear < length && model.has(clear)) clear += 1;
        expect(map.nextClear(from, length)).toBe(clear < length ? clear : -1);
        let set = from;
        while (set < length && !model.has(set)) set += 1;
        expect(map.nextSet(from, length)).toBe(set);
        let last = from - 1;
        while (last >= 0 && !model.has(last)) last -= 1;
        expect(map.lastSet(from)).toBe(last);
      },
    ),
  );
});
