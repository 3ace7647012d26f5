/**
 * Terminal: everything the command line has to do with the process it runs in, so that tests can
 * run a command without one.
 */

/** Where a command runs. */
export interface Terminal {
  /** Takes data: what a program would read. */
  out(text: string): void;
  /** Takes data as bytes; resolves when more can be taken. */
  outBytes(bytes: Uint8Array): Promise<void>;
  /** What comes in on stdin. */
  input(): AsyncIterable<Uint8Array>;
  /** Takes words: messages, questions, progress. */
  err(text: string): void;
  /** True when a person can answer a question. */
  readonly interactive: boolean;
  /** True when a progress bar can be drawn over itself. */
  readonly canDraw: boolean;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The program's own file, as started; absolute. */
  readonly program: string;
  /** Asks, and resolves with the line that was typed; empty when the input ended. */
  ask(question: string): Promise<string>;
  /**
   * Calls `stop` when the process is first asked to stop. Asked again, the process ends at once
   * with exit code 130.
   */
  onStop(stop: () => void): void;
}
