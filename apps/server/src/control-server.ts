/**
 * The HTTP server of the control API, with every limit of Node's own set on purpose. What is not
 * HTTP is answered with an error and the connection is closed; it disturbs nobody else.
 */
import http from 'node:http';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { type ApiErrorBody, HTTP_STATUS } from './api-errors.js';

/** Bytes of all headers of a request; ours have some hundreds. */
const MAX_HEADER_SIZE = 8 * 1024;
/** For slow senders: of headers, of a whole request. Answers may take longer. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** An idle connection is closed after it. */
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const MAX_REQUESTS_PER_SOCKET = 1_000;
/** Open connections; more are closed at once. */
const MAX_CONNECTIONS = 256;
/** What requests under way are given to end in when the server closes. */
const CLOSE_GRACE_MS = 500;

/** Makes the server; it does not listen yet. */
export function createControlServer(app: Hono): http.Server {
  const server = http.createServer(
    {
      maxHeaderSize: MAX_HEADER_SIZE,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
    },
    getRequestListener(app.fetch, { overrideGlobalObjects: false }),
  );
  server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', (_error, socket) => refuse(socket as Socket));
  return server;
}

/** Stops listening, lets requests under way end, then closes what is left. */
export function closeControlServer(server: http.Server): Promise<void> {
  return new Promise((resolve) => {
    const impatience = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(impatience);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function refuse(socket: Socket): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body: ApiErrorBody = {
    error: { code: 'ERR_BAD_REQUEST', message: 'that was not an HTTP request this server takes' },
  };
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${HTTP_STATUS.ERR_BAD_REQUEST} Bad Request\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
}
