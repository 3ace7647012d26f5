/**
 * ClientWork: what the carriers of requests (reads, writes, ranges) share with the session they
 * work for: the device, the answers, and the count of what is still under way.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { COMMAND_FLAG, type Cookie } from '@palimpsest/nbd-codec';
import type { Logger } from './catalog.js';
import type { DeviceGate } from './device-gate.js';
import type { NbdLimits } from './limits.js';
import type { AgreedContext } from './meta-contexts.js';
import type { Replies } from './replies.js';
import type { Slab } from './slabs.js';

/** What a client agreed on in its handshake. */
export interface Agreement {
  readonly device: BlockDevice;
  readonly readOnly: boolean;
  /** Bytes, as told to the client. */
  readonly size: number;
  readonly structured: boolean;
  /** The metadata contexts that were chosen. */
  readonly contexts: readonly AgreedContext[];
}

/** See the header of this file. */
export interface ClientWork {
  readonly agreed: Agreement;
  readonly gate: DeviceGate;
  readonly limits: NbdLimits;
  readonly logger: Logger;
  readonly replies: Replies;
  /** The stream is gone: what is not yet begun may be left. */
  readonly closed: boolean;
  /** New changes are answered ESHUTDOWN. */
  readonly draining: boolean;
  /** Bytes the client asked to read, and to write. */
  bytesRead: number;
  bytesWritten: number;
  /**
   * The device goes on reading from the payload it was handed: where it lies stays as it is until
   * `releaseInput`. `undefined` when it lies in memory that nobody else writes to.
   */
  holdInput(): Slab | undefined;
  releaseInput(slab: Slab): void;
  /** Work goes on after the call; `jobDone` must follow. */
  jobBegun(): void;
  jobDone(): void;
  /** The same for work that answers for itself and never rejects, unless there is a bug. */
  job(work: Promise<void>): void;
  /** Takes no more requests from the client, which may still be sending. */
  stop(): void;
  /** Payload was held up and may come again. */
  resume(): void;
}

export const RANGE_TEXT = 'the range or a flag is not valid';
export const REFUSED_TEXT = 'the request is not valid here';

/** Flushes the device and answers; under FUA it is what comes after the change itself. */
export function flushThenSucceed(work: ClientWork, request: Cookie, charge: number): void {
  const { cookieHigh, cookieLow } = request;
  const { replies, gate } = work;
  let completion: Promise<void> | undefined;
  try {
    completion = gate.flush();
  } catch (error) {
    replies.fail({ cookieHigh, cookieLow }, charge, error);
    return;
  }
  if (completion === undefined) {
    replies.succeed(cookieHigh, cookieLow, charge);
    return;
  }
  work.job(
    completion.then(
      () => replies.succeed(cookieHigh, cookieLow, charge),
      (error: unknown) => replies.fail({ cookieHigh, cookieLow }, charge, error),
    ),
  );
}

/** True when a command that changes something is to be followed by a flush. */
export function isFua(flags: number): boolean {
  return (flags & COMMAND_FLAG.fua) !== 0;
}
