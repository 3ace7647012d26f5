/**
 * A small shell that stays, to run programs from: starting one from a process with much memory costs
 * many times what it does from a small one.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** How a program ended, and what it said on both of its outputs. */
export interface Ended {
  readonly status: number;
  readonly output: string;
}

const END = 'end-of-the-command';
let shell: ChildProcessWithoutNullStreams | undefined;
let turn: Promise<unknown> = Promise.resolve();

/** Runs a program, one at a time. Arguments are taken as they are. */
export function runFromShell(
  program: string,
  args: readonly string[],
  path: string,
): Promise<Ended> {
  const result = turn.then(() => runNow([program, ...args].map(quoted).join(' '), path));
  turn = result.catch(() => undefined);
  return result;
}

function runNow(command: string, path: string): Promise<Ended> {
  shell ??= started(path);
  const child = shell;
  return new Promise((resolve, reject) => {
    let text = '';
    const finish = (): void => {
      child.stdout.off('data', hear);
      child.off('exit', fail);
    };
    const hear = (chunk: string): void => {
      text += chunk;
      const end = new RegExp(`${END} (\\d+)\\n$`).exec(text);
      if (end === null) return;
      finish();
      resolve({ status: Number(end[1]), output: text.slice(0, end.index) });
    };
    const fail = (): void => {
      finish();
      reject(new Error(`the shell ended during ${command}`));
    };
    child.stdout.on('data', hear);
    child.on('exit', fail);
    child.stdin.write(`${command} 2>&1 </dev/null; echo "${END} $?"\n`);
  });
}

function started(path: string): ChildProcessWithoutNullStreams {
  const child = spawn('sh', [], { env: { ...process.env, PATH: path } });
  child.stdout.setEncoding('utf8');
  // It ends with this process, which it does not keep.
  child.unref();
  process.once('exit', () => child.kill());
  return child;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
