/**
 * Runs a workspace script with the pinned pnpm, so that `npm start` and `npm test` need only Node
 * and npm. The npm_* variables are dropped: npm's own settings must not leak into pnpm.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
);
env.TURBO_TELEMETRY_DISABLED ??= '1';
const { error, status } = spawnSync(
  'npx',
  ['--yes', `pnpm@${manifest.devEngines.packageManager.version}`, 'run', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit', env, shell: process.platform === 'win32' },
);
if (error) throw error;
process.exit(status ?? 1);
