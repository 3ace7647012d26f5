/**
 * One measurement in this process: `child.mjs rates SUBJECT DIR`, `child.mjs large COUNT DIR` or
 * `child.mjs times - DIR`.
 */
import { SUBJECTS } from './subjects.mjs';
import { largeDirectory, times } from './times.mjs';
import { durableFiles, largeFile, smallFiles } from './work.mjs';

/** Files made durably at once, and in all. */
const DEPTH = 16;
const DURABLE = 800;

const [what, argument, dir] = process.argv.slice(2);
const measure = {
  rates,
  large: (count) => largeDirectory(dir, Number(count)),
  times: () => times(dir),
};
const found = await measure[what](argument);
process.send(found, () => process.disconnect());

async function rates(name) {
  const subject = SUBJECTS.find((each) => each.name === name);
  const opened = await subject.open(dir);
  // All of it once: for the engine, which meets the code for the first time, and for caches and heap, which
  // grow to what the work needs by touching memory that nobody had. What is measured is a rate, and not that.
  await smallFiles(opened, 'first', subject.count);
  const small = await smallFiles(opened, 'files', subject.count);
  await largeFile(opened, subject.megabytes);
  const large = await largeFile(opened, subject.megabytes);
  if (!subject.isDurable) return { small, large };
  await durableFiles(opened, 'first', DURABLE / 4, DEPTH);
  const durable = await durableFiles(opened, 'durable', DURABLE, DEPTH);
  await opened.close();
  return { small, large, durable };
}
