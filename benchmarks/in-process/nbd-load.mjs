/**
 * A client in a process of its own: `nbd-load.mjs SOCKET EXPORT`. Told `{ command, requests, blocks }`,
 * it keeps 64 requests of 4 KiB in flight until so many are answered, and says so. It parses nothing:
 * with simple replies, bytes counted are replies counted.
 */
import net from 'node:net';
import {
  encodeClientFlags,
  encodeOption,
  encodeRequest,
  HANDSHAKE_FLAG,
  OPTION,
} from '../../packages/nbd-codec/dist/index.js';
import { generator } from './measure.mjs';
import { BLOCK } from './stores.mjs';

const GREETING = 18;
const AGREED = 10;
const REPLY = 16;
const DEPTH = 64;
const [path, name] = process.argv.slice(2);

let received = 0;
let awaited = { bytes: Number.POSITIVE_INFINITY, reached: () => {} };
let hear = () => {};
const socket = net.connect(path);
socket.on('data', (chunk) => {
  received += chunk.length;
  hear();
  if (received >= awaited.bytes) awaited.reached();
});
const until = (bytes) =>
  new Promise((resolve) => {
    awaited = { bytes, reached: resolve };
    if (received >= bytes) resolve();
  });

await until(GREETING);
socket.write(encodeClientFlags(HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes));
socket.write(encodeOption(OPTION.exportName, Buffer.from(name)));
await until(GREETING + AGREED);
process.on('message', load);
process.send({ ready: true });

async function load({ command, requests, blocks }) {
  received = 0;
  const isRead = command === 0;
  const replyBytes = REPLY + (isRead ? BLOCK : 0);
  const random = generator(9);
  const payload = Buffer.alloc(isRead ? 0 : BLOCK, 7);
  let sent = 0;
  const send = () => {
    const answered = Math.floor(received / replyBytes);
    socket.cork();
    for (; sent < requests && sent - answered < DEPTH; sent += 1) {
      const offset = Math.floor(random() * blocks) * BLOCK;
      const header = { flags: 0, cookieHigh: 0, cookieLow: sent, type: command, offset };
      socket.write(encodeRequest({ ...header, length: BLOCK }));
      if (!isRead) socket.write(payload);
    }
    socket.uncork();
  };
  hear = send;
  send();
  await until(requests * replyBytes);
  hear = () => {};
  process.send({ done: requests });
}
