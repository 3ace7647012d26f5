/**
 * Block: a block in memory, of metadata or of file data.
 */
import { viewOf } from '@palimpsest/bytes';
import type { Seal } from './seals/seal.js';

/** A block in memory. `bytes` and `view` are the same bytes. */
export interface Block {
  number: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** File data that the device does not have yet. */
  dirty: boolean;
  /** Reasons to stay: writes of its content on their way to the device, or that it is always needed. */
  pins: number;
  /** The number of the transaction that last changed it; 0: none that is not committed. */
  transaction: number;
  /** The number of the operation that last changed it. */
  operation: number;
  /** Used since the cache last looked for room. */
  used: boolean;
  /** Of metadata with a checksum that fits; see seals/seal.ts. */
  seal: Seal | undefined;
}

/** A block of these bytes, that nobody has used yet. */
export function blockOver(bytes: Uint8Array): Block {
  return {
    number: 0,
    bytes,
    view: viewOf(bytes),
    dirty: false,
    pins: 0,
    transaction: 0,
    operation: 0,
    used: false,
    seal: undefined,
  };
}
