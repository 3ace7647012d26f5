import { defineConfig } from 'vitest/config';

/** Tests read the packages' sources, not their builds, through the private export condition. */
export default defineConfig({
  test: {
    include: ['{src,test}/**/*.test.ts'],
    // Nothing of ours is kept in a module, so the files of a package can share a process.
    isolate: false,
    setupFiles: [new URL('vitest.setup.ts', import.meta.url).pathname],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
  ssr: {
    resolve: { conditions: ['@palimpsest/source', 'module', 'node', 'development|production'] },
  },
});
