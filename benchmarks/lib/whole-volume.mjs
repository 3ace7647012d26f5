/**
 * A volume of 1 TiB discarded and zeroed from end to end, in requests of 1 GiB, beside qemu-nbd. Times, not
 * rates: what counts is that they do not depend on the size.
 */
import { control } from '../../scripts/lib/daemon.mjs';
import { ratioOf, spread } from './findings.mjs';
import { asClient } from './targets.mjs';

const SECTION = 'Whole volumes of 1 TiB';
const SIZE = 2 ** 40;
const PIECE = 2 ** 30;
/** Not zeroed here: each of its blocks would have to be recorded for the snapshot. */
const KEPT = 'production with a snapshot';
const PEERS = ['qemu-nbd qcow2, 1 TiB', 'qemu-nbd raw, 1 TiB'];

/** @returns {Promise<import('./findings.mjs').Finding[]>} */
export async function wholeVolumes(ours, peers, { rounds, say }) {
  const { store, at } = ours;
  await control.createVolume(store, 'huge', SIZE);
  await control.createVolume(store, 'kept', SIZE);
  await control.createSnapshot(store, 'kept@s');
  await control.createBranch(store, 'kept/b', 'kept@s');
  const exports = {
    production: at('huge'),
    [KEPT]: at('kept'),
    'a branch': at('kept/b'),
    ...Object.fromEntries(PEERS.map((name) => [name, peers.targets[name].at])),
  };
  const times = new Map();
  for (let round = 0; round < rounds; round += 1) {
    for (const verb of ['trim', 'writeZeroes']) {
      for (const [name, where] of Object.entries(exports)) {
        if (verb === 'writeZeroes' && name === KEPT) continue;
        const took = await timed(where(), verb);
        const key = `${verb} ${name}`;
        times.set(key, [...(times.get(key) ?? []), took]);
        say(`round ${round + 1}/${rounds}  1 TiB ${verb} ${name}: ${took.toFixed(0)} ms`);
      }
    }
  }
  const of = (verb, name) => times.get(`${verb} ${name}`);
  return ['trim', 'writeZeroes'].flatMap((verb) =>
    Object.keys(exports)
      .filter((name) => !PEERS.includes(name) && of(verb, name) !== undefined)
      .flatMap((name) => PEERS.map((peer) => compared(verb, name, peer))),
  );

  function compared(verb, name, peer) {
    const [mine, theirs] = [of(verb, name), of(verb, peer)];
    return {
      section: SECTION,
      what: `${verb === 'trim' ? 'discard' : 'zero'}, ${name}: time`,
      against: peer,
      ratio: ratioOf(mine, theirs),
      ours: `${spread(mine).median.toFixed(0)} ms`,
      peer: `${spread(theirs).median.toFixed(0)} ms`,
    };
  }
}

/** Milliseconds, with the flush that makes it durable. */
function timed({ socket, name }, verb) {
  return asClient(socket, name, async (client) => {
    const start = performance.now();
    for (let at = 0; at < SIZE; at += 16 * PIECE) {
      const pieces = Array.from({ length: 16 }, (_, n) => client[verb](at + n * PIECE, PIECE));
      await Promise.all(pieces);
    }
    await client.flush();
    return performance.now() - start;
  });
}
