/**
 * Runs a workspace script with the pinned pnpm, so that `npm start` and `npm test` need only Node
 * and npm. The npm_* variables are dropped: npm's own settings must not leak into pnpm. Ctrl-C
 * reaches the script itself; this process stays until it has ended.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

const root = new URL('..', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
const { version } = manifest.devEngines.packageManager;
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
);
env.TURBO_TELEMETRY_DISABLED ??= '1';
const child = spawn('npx', ['--yes', `pnpm@${version}`, 'run', ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
  env,
  shell: process.platform === 'win32',
});
process.on('SIGINT', () => {}); // the terminal sends it to the child as well
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('error', (error) => {
  throw error;
});
child.on('exit', (code, signal) => {
  process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
});
