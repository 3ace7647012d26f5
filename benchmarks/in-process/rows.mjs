/**
 * Every in-process row: the names of what it finds, and how to find it.
 * @typedef {object} Row
 * @property {readonly string[]} finds
 * @property {readonly string[]} [nodeArgs] what its process needs
 * @property {(how: { quick: boolean, say: (line: string) => void }) => Promise<import('../lib/findings.mjs').Finding[]>} run
 */
import { BLOCK_MAP } from './block-map.mjs';
import { GARBAGE } from './garbage.mjs';
import { GROWTH } from './growth.mjs';
import { MANY } from './many.mjs';
import { RECOVERY } from './recovery.mjs';
import { STATES } from './states.mjs';

/** @type {readonly Row[]} */
export const ROWS = [...BLOCK_MAP, ...STATES, ...GROWTH, ...MANY, ...GARBAGE, ...RECOVERY];
