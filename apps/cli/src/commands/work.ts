/** pal undo, log, jobs, verify: what was done to the store, and what goes on in it. */
import type { JobInfo, OperationInfo } from '@palimpsest/control';
import { type CommandContext, textOption, UsageError, withStore } from '../command-context.js';
import { consent } from '../consent.js';
import { follow } from '../follow.js';
import { type Column, formatTime } from '../output.js';

const OPERATIONS: readonly Column<OperationInfo>[] = [
  { title: 'OPERATION', value: ({ id }) => String(id) },
  { title: 'AT', value: ({ at }) => formatTime(at) },
  { title: 'BY', value: ({ by }) => by },
  { title: 'WHAT', value: ({ kind }) => kind },
  { title: 'TARGET', value: ({ target }) => target },
  { title: 'UNDO', value: ({ undo = '-' }) => undo },
  { title: 'DETAIL', value: ({ detail = '' }) => detail },
];

const JOBS: readonly Column<JobInfo>[] = [
  { title: 'JOB', value: ({ id }) => String(id) },
  { title: 'WHAT', value: ({ kind }) => kind },
  { title: 'TARGET', value: ({ target }) => target },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'DONE', value: ({ done, total, unit }) => `${done} of ${total} ${unit}` },
  { title: 'ERROR', value: ({ error = '' }) => error },
];

/** pal undo [OPERATION] */
export async function undo(context: CommandContext, text?: string): Promise<void> {
  const { options, output } = context;
  const operation = text === undefined ? undefined : numberOf(text, 'an operation: pal log');
  const force = options.force === true;
  await withStore(context, async (client) => {
    const log = await client.log();
    const meant = log.find((each) =>
      operation === undefined ? each.undo === 'possible' : each.id === operation,
    );
    if (options.dryRun === true && meant !== undefined) {
      output.item('Plan', { ...meant, dryRun: true }, describe(meant));
      output.say('nothing was done; this would be taken back');
      return;
    }
    if (force) {
      const ended = 'end the sessions of whoever has it open';
      if (!(await consent(context, ended, `Undo, and ${ended}?`))) return;
    }
    const done = await client.undo(operation === undefined ? { force } : { operation, force });
    output.item('Operation', done, done.target);
    if (meant !== undefined) output.say(`took back: ${describe(meant)}`);
    if (done.undo === 'possible') output.say(`and back again: pal undo ${done.id}`);
  });
}

/** pal log */
export async function showLog(context: CommandContext): Promise<void> {
  const limit = numberOf(textOption(context.options, 'limit') ?? '50', 'a count: --limit 50');
  const log = await withStore(context, (client) => client.log(limit));
  context.output.list('OperationList', log, OPERATIONS);
  if (log.length === 0) context.output.say('nothing was done yet');
}

/** pal jobs [ID] */
export async function showJobs(context: CommandContext, id?: string): Promise<void> {
  await withStore(context, async (client) => {
    const jobs = await client.jobs();
    if (id === undefined) {
      context.output.list('JobList', jobs, JOBS);
      if (jobs.length === 0) context.output.say('no work is going on');
      return;
    }
    const number = numberOf(id, 'a job: pal jobs');
    const job = jobs.find((each) => each.id === number);
    if (job === undefined) throw new UsageError(`there is no job ${id}; see which: pal jobs`);
    const waiting = { ...context, options: { ...context.options, wait: true } };
    const ended = await follow(waiting, client, job);
    context.output.item('Job', ended ?? job, `${job.kind} of ${job.target}: ${ended?.state}`);
  });
}

/** pal verify [--data] */
export async function verify(context: CommandContext): Promise<void> {
  const { options, output } = context;
  const report = await withStore(context, (client) =>
    client.verify({ data: options.data === true }),
  );
  const { problems, pages, entries, usedBlocks } = report;
  output.item(
    'Verification',
    report,
    `${problems.length} problems in ${pages} pages, ${entries} entries, ${usedBlocks} blocks in use`,
  );
  if (problems.length === 0) return;
  for (const problem of problems) output.say(problem);
  throw new DamageFound(problems.length);
}

/** Damage that a check found: told as a result, and by the exit code. */
class DamageFound extends Error {
  readonly code = 'ERR_CORRUPT';

  constructor(count: number) {
    super(`the store is damaged: ${count} problems; take what can be read away, then restore it`);
    this.name = 'DamageFound';
  }
}

function describe({ id, kind, target, detail }: OperationInfo): string {
  return `operation ${id}: ${kind} of ${target}${detail === undefined ? '' : ` (${detail})`}`;
}

function numberOf(text: string, what: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new UsageError(`"${text}" is not the number of ${what}`);
}
