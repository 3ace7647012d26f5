/**
 * ImportSessions: imports whose stream comes in parts, a request each, so that no request lasts longer
 * than a request may, however large the stream is.
 *
 *   S1  A part is answered when the import has taken it: the sender goes no faster than the disk.
 *   S2  An import that nothing comes for is broken off, and can be gone on with as after any break.
 *   S3  Who begins an import into a volume again has lost the one before: that is broken off.
 */
import { randomUUID } from 'node:crypto';
import { StorageError } from '@palimpsest/block-device';
import type { ImportInfo, ImportOptions, Store } from '@palimpsest/control';

/** How long a sender may be silent. */
const SILENCE_MS = 60_000;
/** Imports at once. */
const SESSIONS_MAX = 16;

interface Part {
  readonly bytes: Uint8Array;
  taken(): void;
}

/** One import under way. */
class ImportSession {
  readonly volume: string;
  readonly result: Promise<ImportInfo>;
  #part: Part | undefined;
  #ended: 'no' | 'whole' | 'broken' = 'no';
  #wake: () => void = () => undefined;
  #silence: NodeJS.Timeout | undefined;

  constructor(store: Store, options: ImportOptions) {
    this.volume = options.volume;
    this.result = store.importChanges(this.#stream(), options);
    this.result.catch(() => undefined); // told to who sends the next part, or the end
    this.#listen();
  }

  /** Resolves when the bytes are taken (S1). @throws what the import failed with. */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#part !== undefined || this.#ended !== 'no') {
      throw new StorageError('ERR_INVALID', 'the parts of an import come one after the other');
    }
    const taken = new Promise<void>((resolve) => {
      this.#part = { bytes, taken: resolve };
    });
    this.#wake();
    await Promise.race([taken, this.result]);
    this.#listen();
  }

  /** No more parts. @throws what the import failed with. */
  end(): Promise<ImportInfo> {
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
        throw new StorageError('ERR_IO', 'the sender of the import fell silent');
      } else if (this.#ended === 'whole') return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** The imports of one server. */
export class ImportSessions {
  readonly #store: Store;
  readonly #sessions = new Map<string, ImportSession>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** Begins one; its id. @throws {StorageError} ERR_BUSY when there are too many. */
  async begin(options: ImportOptions): Promise<string> {
    // S3
    for (const session of this.#sessions.values()) {
      if (session.volume !== options.volume) continue;
      session.abort();
      await session.result.catch(() => undefined);
    }
    if (this.#sessions.size >= SESSIONS_MAX) {
      throw new StorageError('ERR_BUSY', `${SESSIONS_MAX} imports are under way: try again later`);
    }
    const id = randomUUID();
    const session = new ImportSession(this.#store, options);
    this.#sessions.set(id, session);
    const forget = (): void => {
      // The sender hears of it with its next request, and then nobody asks any more.
      setTimeout(() => this.#sessions.delete(id), SILENCE_MS).unref();
    };
    session.result.then(forget, forget);
    return id;
  }

  /** @throws {StorageError} ERR_NOT_FOUND. */
  find(id: string): ImportSession {
    const found = this.#sessions.get(id);
    if (found !== undefined) return found;
    throw new StorageError('ERR_NOT_FOUND', 'there is no such import; begin it again: pal import');
  }
}
