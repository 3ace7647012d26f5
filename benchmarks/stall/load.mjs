/**
 * A client of its own process, told by messages what to do with one export.
 *
 *   { socket, name }                        connect; answers { size }
 *   { steady: { kind, rate, seconds } }     so many requests a second, each sent when its time has come,
 *                                           whatever became of those before it: a server that halts for
 *                                           half a second delays all that would have been asked
 *                                           meanwhile. Answers { count, p50, p99, max }, milliseconds
 *   { depth }                               so many requests at all times, reads and writes, with a flush
 *                                           now and then, until the next message; 0 stops. No answer
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNbd } from '../../scripts/lib/nbd-client.mjs';

const BLOCK = 4096;
/** Of the requests of `depth`, one in so many is a flush. */
const FLUSH_EVERY = 32;
/** What is not answered this long after the last was sent counts as answered then. */
const LATEST_MS = 5_000;

let client;
let goal = 0;
let working = 0;

process.on('message', async (message) => {
  try {
    if (message.name !== undefined) {
      client = await connectNbd(message.socket, message.name);
      process.send({ size: client.size });
    } else if (message.steady !== undefined) process.send(await steady(message.steady));
    else setDepth(message.depth);
  } catch (error) {
    process.send({ error: error.stack });
  }
});

/** Blocks in an order that looks random and meets each once. */
function scattered(blocks) {
  let block = Math.floor(Math.random() * blocks);
  const step = 7919; // a prime that divides no number of blocks used here
  return () => {
    block = (block + step) % blocks;
    return block * BLOCK;
  };
}

async function steady({ kind, rate, seconds }) {
  const next = scattered(client.size / BLOCK);
  const bytes = Buffer.alloc(BLOCK, 1 + Math.floor(Math.random() * 254));
  const asks = {
    read: () => client.read(next(), BLOCK),
    write: () => client.write(next(), bytes),
    async flush() {
      await client.write(next(), bytes);
      await client.flush();
    },
  };
  const latencies = [];
  const pending = new Map();
  const ask = () => {
    const begun = performance.now();
    const id = latencies.length + pending.size;
    const done = asks[kind]().then(() => {
      pending.delete(done);
      latencies.push(performance.now() - begun);
    });
    pending.set(done, { id, begun });
  };
  const total = rate * seconds;
  const started = performance.now();
  for (let sent = 0; sent < total; await sleep(1)) {
    const due = Math.min(total, ((performance.now() - started) / 1000) * rate);
    for (; sent < due; sent += 1) ask();
  }
  await Promise.race([Promise.all(pending.keys()), sleep(LATEST_MS)]);
  for (const { begun } of pending.values()) latencies.push(performance.now() - begun);
  latencies.sort((a, b) => a - b);
  const at = (share) => latencies[Math.ceil(share * latencies.length) - 1];
  return { count: latencies.length, p50: at(0.5), p99: at(0.99), max: latencies.at(-1) };
}

function setDepth(depth) {
  goal = depth;
  while (working < goal) void work();
}

async function work() {
  working += 1;
  const next = scattered(client.size / BLOCK);
  const bytes = Buffer.alloc(BLOCK, 7);
  for (let count = working; working <= goal; count += 1) {
    try {
      if (count % FLUSH_EVERY === 0) await client.flush();
      else if (count % 2 === 0) await client.read(next(), BLOCK);
      else await client.write(next(), bytes);
    } catch (error) {
      if (goal > 0) process.send({ error: error.stack });
      break;
    }
  }
  working -= 1;
}
