import { defineConfig } from 'tsup';

export default defineConfig([
  {
    entry: ['src/index.ts', 'src/main.ts'],
    format: ['esm'],
    target: 'node20',
    dts: false,
    sourcemap: true,
    clean: true,
  },
  {
    entry: { pal: 'src/pal.cts' },
    format: ['cjs'],
    target: 'node20',
    external: ['./main.js'],
    dts: false,
  },
]);
