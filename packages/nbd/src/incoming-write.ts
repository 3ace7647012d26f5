/** IncomingWrite: a WRITE whose payload is arriving, or on its way into the device. */
import type { RequestHeader } from '@palimpsest/nbd-codec';

/** What is known of one WRITE until it is answered. */
export class IncomingWrite {
  readonly cookieHigh: number;
  readonly cookieLow: number;
  readonly flags: number;
  readonly offset: number;
  /** Bytes of the client's allowance that it holds. */
  readonly charge: number;
  /** An error found before any payload was looked at, or 0. */
  readonly error: number;
  /** What the device threw first, when it did. */
  thrown: unknown;
  /** Bytes handed to the device. */
  stored = 0;
  /** Pieces the device has not finished. */
  pending = 0;
  /** All payload has arrived. */
  complete = false;
  /** The stream stands still until a piece is finished. */
  waiting = false;

  constructor(request: RequestHeader, charge: number, error: number) {
    this.cookieHigh = request.cookieHigh;
    this.cookieLow = request.cookieLow;
    this.flags = request.flags;
    this.offset = request.offset;
    this.charge = charge;
    this.error = error;
  }
}
