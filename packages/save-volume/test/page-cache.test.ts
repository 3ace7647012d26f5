/**
 * Goal: a page of the cache leads to another only while both are kept (P1). Method: inner pages with
 * children, in a cache that is then filled with other pages.
 */
import { createMemoryDevice } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { describe, expect, test } from 'vitest';
import { PAGE_HEADER } from '../src/format.js';
import { type Page, PageCache } from '../src/page-cache.js';

const BLOCK = 4096;
/** Pages that a cache without a budget keeps. */
const LEAST = 32;

function pageOf(level: number, count: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK);
  viewOf(bytes).setUint8(PAGE_HEADER.at.level, level);
  viewOf(bytes).setUint16(PAGE_HEADER.at.count, count, true);
  return bytes;
}

/** A cache that is full: two inner pages over the same two leaves, and leaves that nothing leads to. */
function world() {
  const cache = new PageCache(createMemoryDevice({ size: BLOCK }), BLOCK, 0);
  const ref = (address: number) => ({ address, checksum: 7 * address });
  const add = (address: number, level = 0, count = 1) =>
    cache.add(ref(address), pageOf(level, count));
  const [old, now] = [add(1, 1, 2), add(2, 1, 2)] as const;
  const leaves = [add(3), add(4)] as const;
  for (let address = 5; address <= LEAST; address += 1) add(address);
  const look = (parent: Page, place: number) => cache.child(1, parent, place, ref(3 + place));
  return { cache, add, ref, look, old, now, leaves };
}

describe('the page cache', () => {
  test('P1: a page leads to what was looked at through it, and the last one that did', () => {
    const { look, old, now, leaves } = world();
    expect(old.children).toEqual([undefined, undefined]);
    expect([look(old, 0), look(old, 1)]).toEqual([...leaves]);
    expect(old.children.map((each) => each?.address)).toEqual([3, 4]);
    look(now, 1);
    expect(old.children.map((each) => each?.address)).toEqual([3, undefined]);
    expect(now.children.map((each) => each?.address)).toEqual([undefined, 4]);
  });

  test('P1: what is dropped is nobody’s child and nobody’s parent', () => {
    const { cache, add, ref, look, old, leaves } = world();
    look(old, 0);
    look(old, 1);
    // Those looked at get a second chance: what comes takes two rounds until all are gone.
    for (let address = 100; address < 100 + 2 * LEAST; address += 1) add(address);
    expect(cache.get(1, 1, 1, ref(1).checksum)).toBeUndefined();
    expect(old.children).toEqual([undefined, undefined]);
    expect(leaves.map(({ parent }) => parent)).toEqual([undefined, undefined]);
  });

  test('P1: a page that is not kept any more leads to none, though a look-up still has it (P2)', () => {
    const { add, look, old } = world();
    for (let address = 100; address < 100 + 2 * LEAST; address += 1) add(address);
    const leaf = add(3);
    expect(look(old, 0)).toBe(leaf);
    expect(old.children[0]).toBeUndefined();
    expect(leaf.parent).toBeUndefined();
  });

  test('P1: a page written anew at an address takes the place of the one before', () => {
    const { cache, look, old } = world();
    look(old, 0);
    cache.add({ address: 3, checksum: 8 }, pageOf(0, 1));
    expect(old.children[0]).toBeUndefined();
    expect(look(old, 0)).toBeUndefined();
  });
});
