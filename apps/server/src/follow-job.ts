/** Waiting for a job of a store while telling how far it is. */
import type { JobInfo, OnProgress, Store } from '@palimpsest/control';

/** Milliseconds between two looks: smooth to the eye, nothing to the store. */
const LOOK_MS = 200;

/**
 * Resolves when the job has ended or was paused.
 * @throws {StorageError} ERR_NOT_FOUND when there is no such job; what it failed with.
 */
export async function followJob(
  store: Store,
  id: number,
  onProgress: OnProgress,
): Promise<JobInfo> {
  const look = (): void => {
    const job = store.jobs().find((each) => each.id === id);
    if (job === undefined || job.total === 0) return;
    onProgress({
      phase: `${job.kind} of ${job.target}`,
      done: job.done,
      total: job.total,
      unit: 'items',
    });
  };
  const timer = setInterval(look, LOOK_MS);
  try {
    const ended = await store.waitForJob(id);
    look();
    return ended;
  } finally {
    clearInterval(timer);
  }
}
