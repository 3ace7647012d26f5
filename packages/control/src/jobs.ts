/**
 * Jobs: long work that goes on behind the store's back: copying back a restore, flattening a branch.
 * What they do is kept by the engine step by step, so a job that is paused, or whose process dies,
 * goes on where it was.
 *
 *   J1  At most one job a target and kind; closing the store pauses all of them and loses nothing.
 *   J2  A job that something else keeps from going on (ERR_BUSY) is paused, and says by what.
 */
import { isStorageError, StorageError } from '@palimpsest/block-device';
import type { ControlEnvironment } from './environment.js';
import type { JobInfo } from './work-types.js';

/** What a job does. */
export interface JobWork {
  readonly kind: JobInfo['kind'];
  /** The reference that it works on. */
  readonly target: string;
  /** Bytes a second at most; as fast as it goes without. */
  readonly bytesPerSecond?: number;
  run(how: {
    readonly signal: AbortSignal;
    readonly pace: (bytes: number) => Promise<void>;
    readonly onProgress: (done: number, total: number) => void;
  }): Promise<void>;
}

interface Job {
  readonly id: number;
  work: JobWork;
  state: JobInfo['state'];
  done: number;
  total: number;
  error?: string;
  controller: AbortController;
  running: Promise<void>;
}

/** Jobs that have ended are remembered up to this many. */
const ENDED_KEPT = 32;

/** The jobs of one open store. */
export interface Jobs {
  /** Starts a job, or goes on with the one of the same kind and target. */
  start(work: JobWork): JobInfo;
  /** Pauses it; resolves when it has stopped. @throws {StorageError} ERR_NOT_FOUND. */
  pause(kind: JobInfo['kind'], target: string): Promise<JobInfo>;
  find(kind: JobInfo['kind'], target: string): JobInfo | undefined;
  list(): readonly JobInfo[];
  /** Resolves when the job has ended or was paused. @throws what it failed with. */
  wait(id: number): Promise<JobInfo>;
  /** Pauses all of them. */
  stop(): Promise<void>;
}

/** Makes the set, empty. */
export function createJobs(environment: ControlEnvironment): Jobs {
  const jobs: Job[] = [];
  let nextId = 1;

  function launch(job: Job): void {
    const { work } = job;
    job.state = 'running';
    job.controller = new AbortController();
    const { signal } = job.controller;
    job.running = work
      .run({
        signal,
        pace: paceOf(environment, work.bytesPerSecond),
        onProgress: (done, total) => {
          job.done = done;
          job.total = total;
        },
      })
      .then(
        () => {
          job.state = 'done';
          job.done = job.total;
        },
        (error: unknown) => {
          if (signal.aborted) job.state = 'paused';
          else {
            job.state = isStorageError(error, 'ERR_BUSY') ? 'paused' : 'failed';
            job.error = error instanceof Error ? error.message : String(error);
            if (job.state === 'paused') return; // J2
            environment.logger.error(`${work.kind} of ${work.target} failed: ${job.error}`);
          }
        },
      );
  }

  const latest = (kind: JobInfo['kind'], target: string): Job | undefined =>
    jobs.findLast((job) => job.work.kind === kind && job.work.target === target);

  return {
    start(work) {
      let job = latest(work.kind, work.target);
      if (job?.state === 'running') return infoOf(job);
      if (job === undefined || job.state === 'done') {
        job = {
          id: nextId,
          work,
          state: 'paused',
          done: 0,
          total: 0,
          controller: new AbortController(),
          running: Promise.resolve(),
        };
        nextId += 1;
        jobs.push(job);
        const ended = jobs.filter(({ state }) => state === 'done');
        const [oldest] = ended;
        if (ended.length > ENDED_KEPT && oldest !== undefined) jobs.splice(jobs.indexOf(oldest), 1);
      }
      job.work = work;
      delete job.error;
      launch(job);
      return infoOf(job);
    },
    async pause(kind, target) {
      const job = latest(kind, target);
      if (job === undefined || job.state === 'done') {
        throw new StorageError('ERR_NOT_FOUND', `no ${kind} of ${target} is going on: pal jobs`);
      }
      job.controller.abort();
      await job.running;
      return infoOf(job);
    },
    find(kind, target) {
      const job = latest(kind, target);
      return job === undefined ? undefined : infoOf(job);
    },
    list: () => jobs.map(infoOf),
    async wait(id) {
      const job = jobs.find((each) => each.id === id);
      if (job === undefined) throw new StorageError('ERR_NOT_FOUND', `there is no job ${id}`);
      await job.running;
      if (job.error !== undefined) throw new StorageError('ERR_IO', job.error);
      return infoOf(job);
    },
    async stop() {
      for (const job of jobs) job.controller.abort();
      await Promise.all(jobs.map(({ running }) => running));
    },
  };
}

/** Waits so that no more than so many bytes a second go by. */
function paceOf(
  environment: ControlEnvironment,
  bytesPerSecond: number | undefined,
): (bytes: number) => Promise<void> {
  if (bytesPerSecond === undefined) return () => environment.turn();
  let due = environment.now();
  return async (bytes) => {
    const now = environment.now();
    due = Math.max(due, now) + (bytes / bytesPerSecond) * 1000;
    if (due > now) await environment.sleep(due - now);
  };
}

function infoOf({ id, work, state, done, total, error }: Job): JobInfo {
  const { kind, target } = work;
  return {
    id,
    kind,
    target,
    state,
    done,
    total,
    unit: 'blocks',
    ...(error === undefined ? {} : { error }),
  };
}
