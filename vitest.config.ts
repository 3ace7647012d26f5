import { availableParallelism } from 'node:os';
import { mergeConfig } from 'vitest/config';
import shared from './vitest.shared.ts';

/**
 * All tests as one project. With one for each package each has a Vite server and processes of its own, and
 * a source that ten packages import is transformed, loaded and compiled ten times.
 */
export default mergeConfig(shared, {
  test: {
    include: ['{packages,apps}/*/{src,test}/**/*.test.ts', 'scripts/*.test.ts'],
    // One more than processors: files of the command line and the devices mostly wait for disks and processes.
    maxWorkers: availableParallelism() + 1,
    coverage: { include: ['{packages,apps}/*/src/**'] },
  },
});
