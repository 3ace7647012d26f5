/**
 * UploadSessions: work whose stream comes in parts, a request each, so that no request lasts longer than a
 * request may, however large the stream is. Imports, and files.
 *
 *   S1  A part is answered when the work has taken it: the sender goes no faster than the disk.
 *   S2  Work that nothing comes for is broken off; an import can be gone on with as after any break.
 *   S3  Who begins an import into a volume again has lost the one before: that is broken off.
 */
import { randomUUID } from 'node:crypto';
import { StorageError } from '@palimpsest/block-device';

/** How long a sender may be silent. */
const SILENCE_MS = 60_000;
/** Of a kind at once. */
const SESSIONS_MAX = 16;

interface Part {
  readonly bytes: Uint8Array;
  taken(): void;
}

/** What is done with a stream. */
type Work<R> = (stream: AsyncIterable<Uint8Array>) => Promise<R>;

/** One upload under way. */
class UploadSession<R> {
  /** What there is one upload for at a time. */
  readonly key: string | undefined;
  readonly result: Promise<R>;
  #part: Part | undefined;
  #ended: 'no' | 'whole' | 'broken' = 'no';
  #isOver = false;
  #wake: () => void = () => undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(work: Work<R>, key: string | undefined) {
    this.key = key;
    this.result = work(this.#stream());
    const over = (): void => {
      this.#isOver = true;
    };
    this.result.then(over, over); // a failure is told to who sends the next part, or the end
    this.#listen();
  }

  /** Whether there is nothing more to do. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when the bytes are taken (S1). @throws what the work failed with. */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#part !== undefined || this.#ended !== 'no') {
      throw new StorageError('ERR_INVALID', 'the parts of an upload come one after the other');
    }
    const taken = new Promise<void>((resolve) => {
      this.#part = { bytes, taken: resolve };
    });
    this.#wake();
    await Promise.race([taken, this.result]);
    this.#listen();
  }

  /** No more parts. @throws what the work failed with. */
  end(): Promise<R> {
    this.#finish('whole');
    return this.result;
  }

  /** Breaks it off. */
  abort(): void {
    if (this.#ended === 'no') this.#finish('broken');
  }

  #finish(how: 'whole' | 'broken'): void {
    clearTimeout(this.#silence);
    this.#ended = how;
    this.#wake();
  }

  /** S2. */
  #listen(): void {
    clearTimeout(this.#silence);
    if (this.#ended === 'no') this.#silence = setTimeout(() => this.abort(), SILENCE_MS).unref();
  }

  async *#stream(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const part = this.#part;
      if (part !== undefined) {
        yield part.bytes; // comes back when it has been dealt with
        this.#part = undefined;
        part.taken();
      } else if (this.#ended === 'broken') {
        throw new StorageError('ERR_IO', 'the sender fell silent');
      } else if (this.#ended === 'whole') return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** The uploads of one kind, of one server. */
export class UploadSessions<R> {
  readonly #sessions = new Map<string, UploadSession<R>>();

  /** Begins one; its id. `key`: see S3. @throws {StorageError} ERR_BUSY when there are too many. */
  async begin(work: Work<R>, key?: string): Promise<string> {
    // S3
    for (const session of this.#sessions.values()) {
      if (key === undefined || session.key !== key) continue;
      session.abort();
      await session.result.catch(() => undefined);
    }
    const running = [...this.#sessions.values()].filter((each) => !each.isOver);
    if (running.length >= SESSIONS_MAX) {
      throw new StorageError('ERR_BUSY', `${SESSIONS_MAX} uploads are under way: try again later`);
    }
    const id = randomUUID();
    const session = new UploadSession(work, key);
    this.#sessions.set(id, session);
    const forget = (): void => {
      // The sender hears of it with its next request, and then nobody asks any more.
      setTimeout(() => this.#sessions.delete(id), SILENCE_MS).unref();
    };
    session.result.then(forget, forget);
    return id;
  }

  /** @throws {StorageError} ERR_NOT_FOUND. */
  find(id: string): UploadSession<R> {
    const found = this.#sessions.get(id);
    if (found !== undefined) return found;
    throw new StorageError('ERR_NOT_FOUND', 'there is no such upload any more; begin it again');
  }
}
