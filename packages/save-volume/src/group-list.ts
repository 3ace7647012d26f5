/**
 * The group list: what is known of each allocation group without its bit map. The checkpoint keeps it.
 */
import { StorageError } from '@palimpsest/block-device';
import { GROUP_STATE } from './format.js';

/** One allocation group. */
export interface Group {
  /** 0 or 1, or FRESH when nothing was ever written for the group. */
  slot: number;
  /** Blocks in use, the two slots included. */
  used: number;
  checksum: number;
  /** Blocks given back since free runs were last discarded; in memory only. */
  freed: number;
}

/** The slot of a group whose bit map was never written: all its blocks are free. */
export const FRESH = 2;
/** Blocks at a group's start that hold its bit map. */
export const SLOTS = 2;

/** The list as the checkpoint keeps it. */
export function encodeGroups(groups: readonly Group[]): Uint8Array {
  const bytes = new Uint8Array(groups.length * GROUP_STATE.size);
  for (const [index, { slot, used, checksum }] of groups.entries()) {
    const state = { slot, used, checksum, reserved: 0 };
    GROUP_STATE.encode(bytes, index * GROUP_STATE.size, state);
  }
  return bytes;
}

/**
 * Reads a group list.
 * @throws {StorageError} ERR_CORRUPT when it says what cannot be.
 */
export function decodeGroups(bytes: Uint8Array, groupBlocks: number): Group[] {
  const groups: Group[] = [];
  for (let at = 0; at + GROUP_STATE.size <= bytes.length; at += GROUP_STATE.size) {
    const { slot, used, checksum } = GROUP_STATE.decode(bytes, at);
    if (slot > FRESH || used > groupBlocks) {
      const entry = at / GROUP_STATE.size;
      throw new StorageError('ERR_CORRUPT', `the group list is damaged at entry ${entry}`);
    }
    groups.push({ slot, used, checksum, freed: 0 });
  }
  return groups;
}
