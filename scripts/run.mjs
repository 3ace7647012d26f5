/**
 * Runs a workspace script with the pinned pnpm, so that `npm start` and `npm test` need only Node
 * and npm. The npm_* variables are dropped: npm's own settings must not leak into pnpm. Ctrl-C
 * reaches the script itself; this process stays until it has ended.
 *
 * With --quiet first, the script's words are shown only when it fails.
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
const quiet = process.argv[2] === '--quiet';
const args = process.argv.slice(quiet ? 3 : 2);
const child = spawn('npx', ['--yes', `pnpm@${version}`, 'run', ...args], {
  cwd: root,
  stdio: quiet ? ['ignore', 'pipe', 'pipe'] : 'inherit',
  env,
  shell: process.platform === 'win32',
});
const said = [];
if (quiet) {
  console.error('Getting ready (the first time installs and builds: about half a minute) ...');
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(bytes));
}
process.on('SIGINT', () => {}); // the terminal sends it to the child as well
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('error', (error) => {
  throw error;
});
child.on('close', (code, signal) => {
  const status = code ?? 128 + (constants.signals[signal] ?? 0);
  if (status !== 0) process.stderr.write(Buffer.concat(said));
  process.exitCode = status;
});
