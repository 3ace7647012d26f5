/**
 * The rows that need no server: the packages themselves, as they were built, in memory or on files
 * of their own. Each row runs in a process of its own, so that none meets the memory, the machine code
 * or the garbage of another.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ROWS } from './rows.mjs';

const CHILD = fileURLToPath(new URL('child.mjs', import.meta.url));

/**
 * @param {object} options
 * @param {boolean} [options.quick] fewer rounds and no point that takes long to build
 * @param {string} [options.only] only rows that find something whose name holds the text
 * @param {(line: string) => void} [options.say] told of what goes on
 * @param {string[]} [options.nodeArgs] for the processes, `--cpu-prof` say
 * @returns {Promise<import('../lib/findings.mjs').Finding[]>}
 */
export async function inProcess({ quick = false, only = '', say = () => {}, nodeArgs = [] } = {}) {
  const findings = [];
  for (const [index, { finds, nodeArgs: own = [] }] of ROWS.entries()) {
    if (!finds.some((what) => what.includes(only))) continue;
    say(finds.join(', '));
    const found = await runAlone(index, { quick, nodeArgs: [...own, ...nodeArgs], say });
    findings.push(...found.filter(({ what }) => what.includes(only)));
  }
  return findings;
}

function runAlone(index, { quick, nodeArgs, say }) {
  return new Promise((resolve, reject) => {
    const child = fork(CHILD, [String(index), quick ? 'quick' : 'full'], {
      execArgv: ['--expose-gc', ...nodeArgs],
    });
    let found;
    child.on('message', (message) => {
      if (message.findings !== undefined) found = message.findings;
      else say(`  ${message.line}`);
    });
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (found !== undefined && code === 0) resolve(found);
      else reject(new Error(`"${ROWS[index].finds[0]}" ended with ${signal ?? code}`));
    });
  });
}
