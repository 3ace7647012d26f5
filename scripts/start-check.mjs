/**
 * `npm start` as a stranger meets it: a fresh clone, an empty home folder, no pnpm. It must make a
 * store, serve it, and print three lines that work as they are pasted; Ctrl-C must end it in order
 * within its time; started again it must find everything; the README's commands must work. Needs nbdinfo, qemu-img and the registry.
 * Prints `start done target seconds`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from './lib/daemon.mjs';
import { Checks, same, tool, Undo } from './lib/steps.mjs';

/** A first start installs and builds. */
const START_MS = 240_000;
/** What is promised for an orderly stop, and a little for npm to notice. */
const STOP_MS = 5_000 + 1_500;

const undo = new Undo();
const checks = new Checks('start');
const work = mkdtempSync(join(tmpdir(), 'palimpsest-start-'));
undo.push(work, () => rmSync(work, { recursive: true, force: true }));
const clone = join(work, 'clone');
const env = { PATH: process.env.PATH, HOME: join(work, 'home'), LANG: 'C.UTF-8' };
for (const [name, value] of Object.entries(process.env)) {
  // Where packages come from is the machine's affair; nothing else of its settings is taken over.
  if (/^npm_config_(?:registry|.*proxy|cafile|userconfig)$|^(?:https?|no)_proxy$/i.test(name)) {
    env[name] = value;
  }
}

/** Starts `npm start` as a terminal would, in a process group of its own. */
async function npmStart() {
  const child = spawn('npm', ['start'], { cwd: clone, env, detached: true, stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      said += bytes;
    });
  }
  const exited = new Promise((resolve) => child.once('exit', resolve));
  let code;
  exited.then((value) => {
    code = value ?? -1;
  });
  undo.push('npm start', () => code === undefined && process.kill(-child.pid, 'SIGKILL'));
  const lines = () => said.split('\n').filter((line) => /^(?:nbdinfo|qemu-img|node) /.test(line));
  for (const start = performance.now(); lines().length < 3; ) {
    const late = performance.now() - start > START_MS;
    if (late || code !== undefined) throw new Error(`npm start did not serve; it said:\n${said}`);
    await sleep(50);
  }
  return {
    lines: lines(),
    /** Ctrl-C: the whole group hears it. */
    async interrupt() {
      const start = performance.now();
      process.kill(-child.pid, 'SIGINT');
      const end = await Promise.race([exited, sleep(STOP_MS, 'late', { ref: false })]);
      if (end === 'late') throw new Error(`still there ${STOP_MS} ms after Ctrl-C:\n${said}`);
      if (!/stopped/.test(said)) throw new Error(`it did not stop in order:\n${said}`);
      return `${Math.round(performance.now() - start)} ms`;
    },
  };
}

const inClone = (command) => tool('bash', '-c', `cd '${clone}' && ${command}`);
const snapshots = async () =>
  JSON.parse(await inClone('node apps/cli/dist/pal.cjs snapshot list --json')).items;

try {
  await tool('git', 'clone', '--quiet', '--no-hardlinks', ROOT, clone);
  let server;
  await checks.check('npm start in a fresh clone', async () => {
    server = await npmStart();
  });
  for (const line of server?.lines ?? []) {
    await checks.check(`pasted: ${line}`, async () => {
      await inClone(line);
    });
  }
  await checks.check('Ctrl-C ends it in order', () => server.interrupt());
  await checks.check('started again it finds everything', async () => {
    const again = await npmStart();
    same((await snapshots()).length, 1, 'snapshots');
    await again.interrupt();
  });
  await checks.check("the README's commands work as they are written", async () => {
    const [, served, asked] = readFileSync(join(clone, 'README.md'), 'utf8')
      .match(/^```sh\n[\s\S]*?^```$/gm)
      .map((block) => block.replaceAll(/^```.*$/gm, ''));
    const script = `
      set -euo pipefail
      pal() { node '${clone}/apps/cli/dist/pal.cjs' "$@"; }
      cd '${work}' && truncate -s 16M disk.img
      ${served.replace(/^pal serve$/m, "node '$CLONE/apps/cli/dist/pal.cjs' serve & daemon=$!")}
      trap 'kill $daemon; wait $daemon' EXIT
      for _ in $(seq 200); do test -S "$PALIMPSEST_STORE/nbd.sock" && break; sleep 0.05; done
      ${asked}`;
    await tool('bash', '-c', script.replaceAll('$CLONE', clone));
  });
} finally {
  await undo.all();
}
checks.finish();
