/**
 * Load over NBD that is checked as it goes: writes, zeros, FUA, flushes and reads at random, several in
 * flight on each connection, each logged in the model before it is sent and after it is answered.
 *
 * When the daemon is killed, what is unanswered stays unknown. When a restore or a refresh ends the
 * sessions of an export, the load waits for the command's answer and connects again: whatever it had
 * sent before belongs to the state that was replaced, and must not show up in the new one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NbdGone, NbdRefusal } from './nbd-client.mjs';
import { allow, payload } from './sector-model.mjs';

const ESHUTDOWN = 108;

/** The state of a cycle that its loads and its command share. */
export function newCycle() {
  return {
    /** The daemon is about to be killed. */
    over: false,
    /** Exports whose clients are being ended. @type {Set<string>} */
    replacing: new Set(),
  };
}

/**
 * One connection's load on an export until the cycle is over. `pick` chooses where a request goes:
 * `{ first, count }` in sectors that lie side by side.
 * @param {import('./store-model.mjs').StoreModel} model
 * @param {string} name
 * @param {ReturnType<typeof newCycle>} cycle
 * @param {{ inFlight: number, pick: () => { first: number, count: number } }} how
 */
export async function verifiedLoad(model, name, cycle, { inFlight, pick }) {
  while (!cycle.over) {
    const device = model.devices.get(name);
    const isReplaced = () => cycle.replacing.has(name) || model.devices.get(name) !== device;
    let client;
    const worker = async () => {
      while (!cycle.over && !isReplaced()) await step(model, device, client, pick());
    };
    try {
      client = await model.connect(name);
      await Promise.all(Array.from({ length: inFlight }, worker));
    } catch (error) {
      // The daemon was killed beneath us, or ended the session, as planned. Any other end is a finding.
      const isEnd = error instanceof NbdGone || error.syscall === 'connect';
      const isEnded = error instanceof NbdRefusal && error.errno === ESHUTDOWN;
      const isPlanned = (isEnd && cycle.over) || ((isEnd || isEnded) && isReplaced());
      if (!isPlanned) throw error;
    } finally {
      client?.destroy();
    }
    while (cycle.replacing.has(name) && !cycle.over) await sleep(1);
  }
}

/** One random request. */
async function step(model, device, client, { first, count }) {
  const { history, layout, rng, done } = model;
  const position = layout.positionOf(first);
  const kind = rng.below(100);
  if (kind < 12) {
    const invoke = history.now();
    await client.flush();
    device.flushed(invoke);
    done.flushes += 1;
  } else if (kind < 22) {
    const since = { lastId: history.lastId, recent: device.recent };
    const before = device.visible.slice(first, first + count).map((list) => [...list]);
    const read = model.parse(await client.read(position, count * layout.sectorBytes), first);
    read.forEach((sector, i) => {
      const fault = allow(sector, before[i], first + i, `a read of ${device.name}`, since);
      if (fault !== undefined) model.faults.push(fault);
    });
    done.reads += 1;
  } else {
    const zero = kind < 27;
    const fua = kind >= 90;
    const write = history.begin(device.name, zero);
    device.issued(write, first, count);
    if (zero) await client.writeZeroes(position, count * layout.sectorBytes, { fua });
    else await client.write(position, payload(write, first, count, layout.sectorBytes), { fua });
    write.answer = history.now();
    device.answered(write, first, count, fua);
    done.writes += 1;
  }
}
