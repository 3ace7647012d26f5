/**
 * Byte-level tools that the store's packages share: record layouts that are their own
 * documentation, the checksum, and bit maps. No I/O.
 */
export { BitMap } from './bit-map.js';
export { checksum, identitySeed } from './checksum.js';
export type { Field, FieldType, Layout, RecordOf } from './layout.js';
export { fieldSize, getU48, layout, setU48, viewOf } from './layout.js';
