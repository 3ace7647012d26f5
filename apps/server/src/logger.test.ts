import { expect, test } from 'vitest';
import { createLogger } from './logger.js';

function logged(format: 'plain' | 'json'): {
  lines: string[];
  log: ReturnType<typeof createLogger>;
} {
  const lines: string[] = [];
  const log = createLogger({ format, now: () => 0, write: (line) => lines.push(line) });
  return { lines, log };
}

test('an event is one line, whatever is in it', () => {
  for (const format of ['plain', 'json'] as const) {
    const { lines, log } = logged(format);
    log.warn('a\r\nb\u001b[2J', { peer: 'x\ny', list: ['\u0007'], line: '\u2028' });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.slice(0, -1)).not.toMatch(/[\p{Cc}]/u);
    expect(lines[0]?.endsWith('\n')).toBe(true);
  }
});

test('events below the level are dropped; fields are kept', () => {
  const { lines, log } = logged('json');
  log.debug('hidden');
  log.error('shown', { bytes: 7 });
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { time: '1970-01-01T00:00:00.000Z', level: 'error', message: 'shown', bytes: 7 },
  ]);
});
