/**
 * Change streams: what makes one snapshot of another, as bytes that can be kept, sent, checked, and
 * resumed. A codec in both directions, without I/O; docs/STREAM.md has every byte.
 */
export type { StreamRecord } from './decoder.js';
export { StreamDecoder } from './decoder.js';
export { StreamEncoder } from './encoder.js';
export { DATA_MAX } from './frames.js';
export type { StreamHeader, StreamSnapshot } from './stream-header.js';
