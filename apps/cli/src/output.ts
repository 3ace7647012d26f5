/**
 * Output: data on stdout, words on stderr. With --json, data is one document and words are
 * documents too, a line each.
 */
import type { OnProgress, Progress } from '@palimpsest/control';
import { formatSize } from '@palimpsest/control/grammar';
import type { Terminal } from './terminal.js';

/** Version of the documents' shape. Fields may be added to a version, not taken away. */
const SCHEMA = 'palimpsest/1';
/** Characters of a progress bar: fits beside its words in 80 columns. */
const BAR = 24;

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  readonly value: (item: T) => string;
}

/** How a command tells its result. */
export interface Output {
  /** A list: a table, or with `quiet` references only. */
  list<T extends object>(
    kind: string,
    items: readonly T[],
    columns: readonly Column<T>[],
    options?: { readonly quiet?: boolean },
  ): void;
  /** One thing: `text` for people. */
  item(kind: string, item: object, text: string): void;
  /** Words. Not said with --json, where the data says it all. */
  say(words: string): void;
  /** Shows how far long work is. Call `end` when it is over. */
  progress(): { readonly on: OnProgress; end(): void };
  /** A failure. */
  error(code: string, message: string): void;
}

/** Makes the output of a command. */
export function createOutput(terminal: Terminal, json: boolean): Output {
  const document = (kind: string, content: object): string =>
    `${JSON.stringify({ schema: SCHEMA, kind, ...content })}\n`;
  return {
    list(kind, items, columns, options = {}) {
      if (json) terminal.out(document(kind, { items }));
      else if (options.quiet === true) terminal.out(lines(items.map(first(columns))));
      else if (items.length > 0) terminal.out(table(items, columns));
    },
    item(kind, item, text) {
      terminal.out(json ? document(kind, item) : lines([text]));
    },
    say(words) {
      if (!json) terminal.err(`${words}\n`);
    },
    progress() {
      if (json) {
        return {
          on: (progress) => terminal.err(`${JSON.stringify({ type: 'progress', ...progress })}\n`),
          end() {},
        };
      }
      return terminal.canDraw ? drawnProgress(terminal) : toldProgress(terminal);
    },
    error(code, message) {
      if (json) terminal.err(document('Error', { error: { code, message } }));
      else terminal.err(`pal: ${message} (${code})\n`);
    },
  };
}

/** A time for people: "2026-11-22 17:05:12Z". */
export function formatTime(rfc3339: string): string {
  return rfc3339.replace('T', ' ').replace(/\.[0-9]+Z$/, 'Z');
}

function lines(texts: readonly string[]): string {
  return texts.map((text) => `${text}\n`).join('');
}

function first<T>(columns: readonly Column<T>[]): (item: T) => string {
  return (item) => columns[0]?.value(item) ?? '';
}

function table<T>(items: readonly T[], columns: readonly Column<T>[]): string {
  const rows = [
    columns.map((column) => column.title),
    ...items.map((item) => columns.map((column) => oneLine(column.value(item)))),
  ];
  const widths = columns.map((_, index) => Math.max(...rows.map((row) => row[index]?.length ?? 0)));
  return lines(
    rows.map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
  );
}

/** A table's cell is one line: the first of a message. Nothing in it moves the cursor. */
function oneLine(text: string): string {
  const [line = ''] = text.split('\n');
  return line.replace(/[\p{Cc}\u2028\u2029]/gu, '?');
}

/** Without a terminal to draw on, each phase is named once. */
function toldProgress(terminal: Terminal): { readonly on: OnProgress; end(): void } {
  let phase = '';
  return {
    on(progress) {
      if (progress.phase !== phase) terminal.err(`${progress.phase}...\n`);
      phase = progress.phase;
    },
    end() {},
  };
}

function drawnProgress(terminal: Terminal): { readonly on: OnProgress; end(): void } {
  let drawn = false;
  return {
    on(progress) {
      drawn = true;
      terminal.err(`\r\u001b[K${bar(progress)}`);
    },
    end() {
      if (drawn) terminal.err('\r\u001b[K');
    },
  };
}

function bar({ phase, done, total, unit }: Progress): string {
  const amount = unit === 'bytes' ? formatSize(done) : String(done);
  if (total === undefined || total === 0) return `${phase}: ${amount}`;
  const share = Math.min(1, done / total);
  const filled = Math.round(share * BAR);
  const of = unit === 'bytes' ? formatSize(total) : String(total);
  return `${phase} [${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${amount} of ${of}`;
}
