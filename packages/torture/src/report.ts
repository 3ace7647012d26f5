/** Reporting a failure: what was wrong, the line that runs it again, and the shortest case found. */
import type { Case } from './case.js';
import { record } from './record.js';
import { shrink } from './shrink.js';
import { Failure, newTally, type Place } from './tally.js';
import { crashCase } from './torture.js';
import { THOROUGH } from './work.js';

/** What reporting needs from outside. */
export interface ReportPort {
  readonly shrinks: boolean;
  readonly hasTime: () => boolean;
  /** Keeps a file; tells where. */
  readonly keep: (name: string, json: string) => string;
}

/** Prints a failure. @throws what is none. */
export async function reportFailure(error: unknown, port: ReportPort): Promise<void> {
  if (!(error instanceof Failure)) throw error;
  console.error(`FAILED ${error.message}`);
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    console.error(cause.stack);
  }
  console.error(`run it again: npm run torture -- ${again(error.place)}`);
  const run = error.case;
  if (run === undefined || !port.shrinks || error.place.sequence !== undefined) return;
  const smaller = await shrink(run, attempt(error.place), port.hasTime);
  if (smaller === undefined) {
    console.error('it does not fail again from its operations alone');
    return;
  }
  const { operations } = smaller.case;
  console.error(`${operations.length} operations are enough: ${smaller.failure}`);
  const words: string[] = [];
  const options = {
    place: error.place,
    tally: newTally(),
    onStep: (line: string) => words.push(line),
  };
  await record(smaller.case, options).catch(() => undefined);
  for (const line of words) console.error(`  ${line}`);
  const kept = { why: smaller.failure, ...(isCrash(error.place) ? { crash: true } : {}) };
  const json = JSON.stringify({ ...kept, case: smaller.case });
  const file = port.keep(`palimpsest-case-${run.seed}.json`, `${json}\n`);
  console.error(`run it again: npm run torture -- --case ${file}`);
}

/** Runs a case as it failed: crashed at every point, or not at all. */
function attempt(place: Place): (run: Case) => Promise<string | undefined> {
  return async (run) => {
    const tally = newTally();
    try {
      if (isCrash(place)) await crashCase(run, {}, THOROUGH, { seen: new Set(), tally });
      else await record(run, { place: {}, tally });
    } catch (error) {
      return error instanceof Failure ? error.message : String(error);
    }
    return undefined;
  };
}

const isCrash = ({ point }: Place): boolean => point !== undefined;

function again({ seed, sequence, interleaved, quick, full }: Place): string {
  if (sequence !== undefined) return `--sequence ${sequence}`;
  if (interleaved === true) return `--interleaved ${seed}`;
  if (full === true) return `--full ${seed}`;
  return quick === true ? `--quick ${seed}` : `--seed ${seed}`;
}
