/**
 * Home: brings what a journal holds to where it belongs, piece by piece, from the journal itself. A full
 * journal is not held in memory for that: to touch so much fresh memory takes longer than to read the
 * journal again, which was checked a moment ago.
 *
 *   Y4  Each block is written once, with its newest content, so the order of the writes does not matter.
 */
import type { BlockDevice } from '@palimpsest/block-device';
import { InFlight } from './in-flight.js';
import { PIECE_BLOCKS, type ReadJournal } from './journal-reader.js';
import { type Checked, restoreMagic, runFrom } from './journal-replay.js';
import { writeRuns } from './write-runs.js';

/** Pieces under way at once. */
const PIECES_MAX = 4;

/** Writes all blocks home. They are not flushed. */
export async function bringHome(
  device: BlockDevice,
  blockSize: number,
  { newest }: Pick<Checked, 'newest'>,
  read: ReadJournal,
): Promise<void> {
  const logged = [...newest.values()].sort((a, b) => a.index - b.index);
  const pieces: Uint8Array[] = [];
  const writes = new InFlight(PIECES_MAX);
  try {
    for (let from = 0; from < logged.length; ) {
      await writes.room();
      const run = runFrom(logged, from);
      const piece = pieces.pop() ?? new Uint8Array(PIECE_BLOCKS * blockSize);
      await read(piece.subarray(0, run.length * blockSize), logged[from]?.index as number);
      const entries = run.map(({ home, escaped }, i): [number, Uint8Array] => {
        const bytes = piece.subarray(i * blockSize, (i + 1) * blockSize);
        restoreMagic(bytes, escaped);
        return [home, bytes];
      });
      writes.add(writeRuns(device, blockSize, entries).then(() => pieces.push(piece)));
      from += run.length;
    }
  } finally {
    // Also after a failure: not while others are still under way.
    await writes.settled();
  }
}
