/**
 * OpenFile: what `open(2)` makes: an inode that stays as long as it is open, how it was opened, and a
 * position.
 *
 *   O1  Reads and writes at the position move it, and take turns: none sees another's bytes twice.
 *   O2  An append goes to the end of the file: appends to one inode take turns.
 *   O3  A write by anybody but the superuser takes the set-id bits away.
 */
import { FsError } from '../errors.js';
import type { Answer, Attributes, Vfs } from '../vfs.js';
import { constants } from './constants.js';
import { mayRead, mayWrite } from './open-flags.js';
import { now, perform, type Steps } from './steps.js';
import type { Turns } from './turns.js';
import type { User } from './user.js';

/** See the head of the file. */
export class OpenFile {
  readonly ino: number;
  readonly flags: number;
  readonly #vfs: Vfs;
  readonly #user: User;
  readonly #turns: Turns;
  #position = 0;

  /** Takes over one `open` of the inode, and gives it back in `close`. */
  constructor(vfs: Vfs, user: User, turns: Turns, ino: number, flags: number) {
    this.#vfs = vfs;
    this.#user = user;
    this.#turns = turns;
    this.ino = ino;
    this.flags = flags;
  }

  /** Fills `target` from `offset` on, or from the position; answers how many bytes there were. */
  read(target: Uint8Array, offset?: number): Answer<number> {
    if (!mayRead(this.flags)) throw new FsError('EBADF', 'it is not open for reading');
    if (offset !== undefined) return this.#vfs.read(this.ino, target, offset);
    if (this.#turns.isBusy(this)) return this.#turns.run(this, () => this.#readOn(target)); // O1
    const answer = this.#readOn(target);
    return answer instanceof Promise ? this.#turns.run(this, () => answer) : answer;
  }

  /** Writes all of `source` at `offset`, or at the position, or at the end. */
  write(source: Uint8Array, offset?: number): Answer<void> {
    if (!mayWrite(this.flags)) throw new FsError('EBADF', 'it is not open for writing');
    if ((this.flags & constants.O_APPEND) !== 0) {
      return this.#turns.run(this.ino, () => perform(this.#append(source))); // O2
    }
    if (offset !== undefined) return perform(this.#write(source, offset));
    if (this.#isPlain && !this.#turns.isBusy(this)) {
      const answer = this.#vfs.write(this.ino, source, this.#position);
      if (answer instanceof Promise) {
        return this.#turns.run(this, () => answer.then(() => this.#moved(source.length)));
      }
      return this.#moved(source.length);
    }
    return this.#turns.run(this, () => perform(this.#writeOn(source))); // O1
  }

  /** @throws {FsError} EINVAL when it is not open for writing */
  truncate(size: number): Answer<unknown> {
    if (!mayWrite(this.flags)) throw new FsError('EINVAL', 'it is not open for writing');
    return this.#vfs.setattr(this.ino, { size });
  }

  stat(): Answer<Attributes> {
    return this.#vfs.getattr(this.ino);
  }

  close(): Answer<void> {
    return this.#vfs.release(this.ino);
  }

  #readOn(target: Uint8Array): Answer<number> {
    const count = this.#vfs.read(this.ino, target, this.#position);
    if (count instanceof Promise) {
      return count.then((later) => {
        this.#moved(later);
        return later;
      });
    }
    this.#moved(count);
    return count;
  }

  #moved(count: number): void {
    this.#position += count;
  }

  /** Whether a write is nothing but that: no bits are taken away, and nobody waits until it is durable. */
  get #isPlain(): boolean {
    return this.#user.isSuperuser && (this.flags & constants.O_DSYNC) === 0;
  }

  *#writeOn(source: Uint8Array): Steps<void> {
    yield* this.#write(source, this.#position);
    this.#position += source.length;
  }

  *#append(source: Uint8Array): Steps<void> {
    const { size } = yield* now(this.#vfs.getattr(this.ino));
    yield* this.#write(source, size);
    this.#position = size + source.length;
  }

  *#write(source: Uint8Array, offset: number): Steps<void> {
    if (!this.#user.isSuperuser) {
      const { mode } = yield* now(this.#vfs.getattr(this.ino));
      if ((mode & 0o6000) !== 0) {
        yield* now(this.#vfs.setattr(this.ino, { mode: mode & ~0o6000 })); // O3
      }
    }
    yield* now(this.#vfs.write(this.ino, source, offset));
    if ((this.flags & constants.O_DSYNC) === 0) return;
    const dataOnly = (this.flags & constants.O_SYNC) !== constants.O_SYNC;
    yield* now(this.#vfs.fsync(this.ino, { dataOnly }));
  }
}
