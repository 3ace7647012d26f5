/**
 * A small structured logger: one line an event, plain for people or JSON for programs, to a
 * stream that is not stdout (which is for data). Text from outside is escaped, so that no client
 * can forge a line or move a terminal's cursor.
 */
import type { Logger } from '@palimpsest/control';

/** From all to nothing but failures. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** How to log. */
export interface LoggerOptions {
  /** Events below it are dropped. @default 'info' */
  readonly level?: LogLevel;
  /** One JSON document a line, or plain text. @default 'plain' */
  readonly format?: 'plain' | 'json';
  /** Milliseconds since 1970. @default the machine's clock */
  readonly now?: () => number;
  /** Takes a line with its line feed. @default stderr */
  readonly write?: (line: string) => void;
}

const ORDER: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];

/** Makes a logger. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const least = ORDER.indexOf(options.level ?? 'info');
  const now = options.now ?? Date.now;
  const write = options.write ?? ((line: string) => void process.stderr.write(line));
  const format = options.format === 'json' ? jsonLine : plainLine;
  const at =
    (level: LogLevel) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      if (ORDER.indexOf(level) < least) return;
      write(`${format(new Date(now()).toISOString(), level, message, fields)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** A logger that keeps nothing. */
export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Control characters made visible: "\n" becomes "\\n", ESC becomes "\\u001b". */
export function escaped(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (character) => {
    if (character === '\n') return '\\n';
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function jsonLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, unknown>>,
): string {
  return JSON.stringify({ time, level, message, ...fields });
}

function plainLine(
  time: string,
  level: LogLevel,
  message: string,
  fields: Readonly<Record<string, unknown>>,
): string {
  const shown = Object.entries(fields).map(
    ([name, value]) =>
      ` ${name}=${escaped(typeof value === 'string' ? value : JSON.stringify(value))}`,
  );
  return `${time} ${level.padEnd(5)} ${escaped(message)}${shown.join('')}`;
}
