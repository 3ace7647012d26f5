import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: ['packages/*', 'apps/*', 'scripts'],
    // Vitest leaves one processor to itself, which of two is half of them.
    maxWorkers: '100%',
    coverage: { include: ['{packages,apps}/*/src/**'] },
  },
});
