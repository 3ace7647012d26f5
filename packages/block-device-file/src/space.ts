/**
 * Space: taking and giving back the blocks beneath a file. Node has no call for it, so util-linux
 * `fallocate` does it, through a shell that is handed the open file; the file is never looked up
 * by its name again. Each run costs milliseconds: worth it for large ranges only. One runs at a time;
 * neighbouring ranges that wait meanwhile are done by one run.
 */
import process from 'node:process';
import { StorageError } from '@palimpsest/block-device';
import { SpaceShell } from './space-shell.js';

/** What the helper can do to a range: take space for it, free it, make zeros that keep it. */
export type SpaceAction = 'allocate' | 'punch' | 'zero';

const FLAGS: Readonly<Record<SpaceAction, readonly string[]>> = {
  allocate: [],
  punch: ['--punch-hole'],
  zero: ['--zero-range', '--keep-size'],
};

/** A range that waits for its run. */
interface Waiting {
  readonly action: SpaceAction;
  position: number;
  length: number;
  readonly done: Promise<boolean>;
}

/** Carries actions out on one open file, and remembers which the system cannot do. */
export class SpaceHelper {
  readonly #command: string;
  readonly #shell: SpaceShell;
  readonly #missing = new Set<SpaceAction>();
  #waiting: Waiting[] = [];
  #last: Promise<unknown> = Promise.resolve();

  /** `command` is the name of the program; tests name one that is not there. */
  constructor(fd: number, command: string = 'fallocate') {
    this.#command = command;
    this.#shell = new SpaceShell(fd, command);
    if (process.platform !== 'linux') {
      for (const action of Object.keys(FLAGS)) this.#missing.add(action as SpaceAction);
    }
  }

  /** False when the action is known not to work here. */
  can(action: SpaceAction): boolean {
    return !this.#missing.has(action);
  }

  /**
   * Resolves with true when done, with false when the system or the file system cannot do it.
   * @throws {StorageError} ERR_NO_SPACE when there is none; ERR_IO for all else.
   */
  run(action: SpaceAction, position: number, length: number): Promise<boolean> {
    if (!this.can(action)) return Promise.resolve(false);
    const neighbour = this.#waiting.find(
      (each) =>
        each.action === action &&
        (each.position + each.length === position || position + length === each.position),
    );
    if (neighbour !== undefined) {
      neighbour.position = Math.min(neighbour.position, position);
      neighbour.length += length;
      return neighbour.done;
    }
    const done = this.#last.then(() => {
      this.#waiting = this.#waiting.filter((each) => each !== waiting);
      return this.#run(action, waiting.position, waiting.length);
    });
    const waiting: Waiting = { action, position, length, done };
    this.#waiting.push(waiting);
    this.#last = done.catch(() => undefined); // whose range it is hears of it
    return done;
  }

  async #run(action: SpaceAction, position: number, length: number): Promise<boolean> {
    if (!this.can(action)) return false;
    const where = ['--offset', String(position), '--length', String(length)];
    const answer = await this.#shell.run([...FLAGS[action], ...where]);
    if (answer === undefined) return true;
    if (/No space left|Disk quota|File too large/i.test(answer)) {
      if (action === 'punch') return false; // a full file system may need space to free some
      throw new StorageError('ERR_NO_SPACE', `no space for ${length} bytes at ${position}`);
    }
    if (
      /not supported|Invalid argument|unsupported|not found|No such (file|device)/i.test(answer)
    ) {
      this.#missing.add(action);
      return false;
    }
    throw new StorageError('ERR_IO', `${this.#command} failed at ${position}: ${answer}`);
  }

  /** Lets go of the file. Nothing is running. */
  close(): Promise<void> {
    return this.#shell.close();
  }
}
