/**
 * What a first write costs, from the daemon's own metrics: bytes written to the save volume and the image
 * for the bytes that a client dirtied in blocks of 4 KiB, space taken, device flushes.
 */
import { control } from '../../scripts/lib/daemon.mjs';
import { budgetOf, spread } from './findings.mjs';
import { measure } from './over-nbd.mjs';

const SECTION = 'What a first write costs';
const BYTES = 64 << 20;
const JOB = { rw: 'randwrite', blockSize: '4k', depth: 64, bytes: BYTES };

/** @returns {Promise<import('./findings.mjs').Finding[]>} */
export async function firstWriteCost({ store, targets }, { rounds, seconds, size, say }) {
  const space = [];
  const data = [];
  const flushes = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = await control.metrics(store);
    await measure(targets['ours: first writes'], JOB, { seconds, size, seed: 100 + round });
    const after = await control.metrics(store);
    const grown = (of) => of(after) - of(before);
    const blocks = grown(({ save }) => save.dataBytes) / 4096;
    // The map's pages are written at checkpoints: some now, some later. Entries tell how many.
    space.push(grown(({ space: { usedBytes } }) => usedBytes) / BYTES);
    data.push(blocks / (BYTES / 4096));
    flushes.push(grown(({ save }) => save.flushes) / (BYTES / 4096));
    say(`round ${round + 1}/${rounds}  space ${space.at(-1).toFixed(3)}`);
  }
  const finding = (what, values, limits, text, note) => {
    const ratio = spread(values);
    const found = {
      section: SECTION,
      what,
      ratio,
      ...budgetOf(ratio, limits),
      ours: text(ratio.median),
    };
    return note === undefined ? found : { ...found, note };
  };
  return [
    finding(
      'space of the save volume for each byte dirtied',
      space,
      { atMost: 1.1 },
      (value) => `${(4096 * value).toFixed(0)} bytes a block`,
      'old bytes, their entries in the map, and the journal; from the daemon’s metrics',
    ),
    finding(
      'old blocks stored for each block dirtied',
      data,
      { atMost: 1 },
      (v) => `${v.toFixed(3)}`,
    ),
    finding('flushes of the save volume for each block dirtied', flushes, { atMost: 1 }, (value) =>
      value === 0 ? '0' : `one for ${Math.round(1 / value)} blocks`,
    ),
  ];
}
