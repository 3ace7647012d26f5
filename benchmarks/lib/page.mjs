/** docs/PERFORMANCE.md, from a history of runs. Pure: the same history gives the same page. */
import { budgets, render } from './findings.mjs';
import { metByRun, ratiosBefore, sameMachine } from './history.mjs';

/** Whole MiB, to the nearest. Not a shift: that keeps 32 bits, so 24 GiB of memory came out as -471 MiB. */
export const mebibytes = (bytes) => Math.round(bytes / 2 ** 20);

/**
 * @param {readonly import('./history.mjs').Run[]} runs oldest first; the page shows the last, and
 *   sections that it did not measure as of the last run on the same machine that did
 */
export function page(runs) {
  const run = runs.at(-1);
  const { machine, settings } = run;
  const earlier = sectionsBefore(runs);
  const findings = [...run.findings, ...earlier.flatMap((each) => each.findings)];
  const { met, of, missed } = budgets(findings);
  const before = ratiosBefore(runs.slice(0, -1), machine);
  return `# Performance

Written by \`npm run bench -- --json FILE --markdown docs/PERFORMANCE.md\`, or from the history of
earlier runs with \`--from FILE\`; do not edit. What is measured, and what is not, is told in
\`benchmarks/README.md\`; what was tried to make it fast, in [HOT-SPOTS.md](HOT-SPOTS.md).

Ratios are ours divided by the peer's, taken within each of ${settings.rounds} rounds (median, and minimum to
maximum): for rates more is better, for latencies and times less. "before" is the median of the run before
on the same machine. "CPU" is the server's time, user and system, in seconds per million requests: it
hardly depends on what else the machine does.

**${met} of ${of} budgets met.**
${missed.map((each) => `- missed: ${each}\n`).join('')}
${overRuns(runs.filter((run) => sameMachine(run.machine, machine)))}${render(findings, before)}

Measured ${machine.at.slice(0, 10)} in ${run.tookSeconds} s. Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryMiB} MiB, Linux ${machine.kernel}, Node ${machine.node},
${machine.fio}, ${machine.qemu}, ${machine.nbdkit}. Load averages at the end: ${machine.load.join(', ')}.
${settings.seconds} s each, images of ${mebibytes(settings.size)} MiB, page cache warm unless said, ${settings.snapshots} snapshots in the
queue. Commit ${settings.commit}.
${earlier.map(({ section, commit, at }) => `\n*${section}*: of an earlier run, ${at.slice(0, 10)}, commit ${commit}.`).join('')}
`;
}

/** Sections that the last run has nothing of, each as of the last run that has. */
function sectionsBefore(runs) {
  const last = runs.at(-1);
  const comparable = runs.filter(({ machine }) => sameMachine(machine, last.machine));
  const sections = new Set(
    comparable.flatMap(({ findings }) => findings.map((each) => each.section)),
  );
  for (const { section } of last.findings) sections.delete(section);
  return [...sections].map((section) => {
    const of = (run) => run.findings.filter((each) => each.section === section);
    const run = comparable.findLast((each) => of(each).length > 0);
    return { section, findings: of(run), commit: run.settings.commit, at: run.machine.at };
  });
}

/** Which budgets were not met in every run; nothing when there was one run. */
function overRuns(runs) {
  if (runs.length < 2) return '';
  const rows = metByRun(runs);
  const always = rows.filter(({ met, of }) => met === of).length;
  const others = rows
    .filter(({ met, of }) => met < of)
    .map(({ found, met, of }) => {
      const against = found.against === undefined ? '' : `, against ${found.against}`;
      return `- ${found.section}: ${found.what}${against}: ${met} of ${of}\n`;
    });
  return `Over the last ${runs.length} runs, ${always} of ${rows.length} budgets were met in every one.
${others.join('')}
`;
}
