/**
 * Following a job. Where a daemon serves, the job goes on there and need not be waited for; where this
 * process has the store open, it goes on only as long as this process, so it is waited for here. Asked
 * to stop, the process pauses it: whoever opens the store next goes on where it was.
 */
import type { JobInfo } from '@palimpsest/control';
import type { StoreClient } from '@palimpsest/server/client';
import type { CommandContext } from './command-context.js';

/** Follows a job to its end with a progress bar, or says how to. Undefined when it was left. */
export async function follow(
  context: CommandContext,
  client: StoreClient,
  job: JobInfo,
): Promise<JobInfo | undefined> {
  const { options, output, terminal } = context;
  if (client.mode === 'daemon' && options.wait !== true) {
    output.say(`the daemon goes on with it; see how far: pal jobs, wait: pal jobs ${job.id}`);
    return undefined;
  }
  if (client.mode === 'direct') {
    terminal.onStop(() => {
      output.say('\npausing; it goes on when the store is next opened, where it was');
      void client.close();
    });
  }
  const progress = output.progress();
  try {
    const ended = await client.followJob(job.id, progress.on);
    progress.end();
    output.say(
      ended.state === 'done'
        ? `the ${ended.kind} of ${ended.target} is done`
        : `the ${ended.kind} of ${ended.target} is ${ended.state}`,
    );
    return ended;
  } finally {
    progress.end();
  }
}
