/**
 * What a running daemon tells of itself, and what a store tells through any client: plain data,
 * shared by the daemon, its API and the clients.
 */
import type { StoreMetrics, StoreStatus } from '@palimpsest/control';

/** Where a daemon serves. */
export interface ServiceAddresses {
  /** The Unix socket of NBD clients. */
  readonly nbdSocket: string;
  /** The loopback address of NBD clients, when there is one. */
  readonly nbdTcp?: { readonly host: string; readonly port: number };
  /** The Unix socket of the control API. */
  readonly controlSocket: string;
}

/** A client of an export. */
export interface ServiceClient {
  readonly peer: string;
  /** The export as the client named it. */
  readonly exportName: string;
  /** RFC 3339. */
  readonly connectedAt?: string;
  readonly requests: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** A daemon. */
export interface ServiceInfo extends ServiceAddresses {
  readonly pid: number;
  /** RFC 3339. */
  readonly startedAt: string;
  /** How many. */
  readonly clients: number;
}

/** The store, and the daemon that serves it if one does. */
export interface ServiceStatus extends StoreStatus {
  readonly service?: ServiceInfo;
}

/** What a daemon takes of its machine. */
export interface ServiceUsage {
  /** How many. */
  readonly clients: number;
  /** RFC 3339. */
  readonly startedAt: string;
  /** Of processor time. */
  readonly cpuSeconds: number;
  /** Bytes of memory. */
  readonly residentBytes: number;
}

/** What a store did since it was opened, and the daemon that serves it if one does. */
export interface ServiceMetrics extends StoreMetrics {
  readonly service?: ServiceUsage;
}
