/**
 * Goal: what the benchmarks say about numbers follows from the numbers. Method: the pure parts of
 * `benchmarks/lib` on numbers made up here; nothing is timed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  budgetOf,
  budgets,
  curveOf,
  ratioOf,
  render,
  spread,
  verdictOf,
} from '../benchmarks/lib/findings.mjs';
import { appendRun, metByRun, ratiosBefore, readHistory } from '../benchmarks/lib/history.mjs';
import { compare } from '../benchmarks/lib/over-nbd.mjs';
import { mebibytes, page } from '../benchmarks/lib/page.mjs';
import { ROWS } from '../benchmarks/lib/rows.mjs';

const at = (...pairs: [string | number, number][]) =>
  pairs.map(([position, value]) => ({ at: position, value }));

describe('ratios', () => {
  test('the median of an even count lies between the two in the middle', () => {
    expect(spread([4, 1, 3, 2])).toEqual({ min: 1, median: 2.5, max: 4 });
  });

  test('a ratio is taken within its round, not of two medians', () => {
    // The machine was ten times slower in the second round, for both.
    expect(ratioOf([200, 20, 300], [100, 10, 100])).toEqual({ min: 2, median: 2, max: 3 });
  });

  test('a round that one side lacks is left out', () => {
    expect(ratioOf([6, undefined, 5], [2, 1, undefined])).toEqual({ min: 3, median: 3, max: 3 });
    expect(ratioOf([1], [])).toBeUndefined();
  });
});

describe('budgets', () => {
  test('the median decides, and reaching the budget is meeting it', () => {
    const ratio = { min: 0.5, median: 1.5, max: 9 };
    expect(budgetOf(ratio, { atLeast: 1.5 })).toEqual({ budget: '≥ 1.5', met: true });
    expect(budgetOf(ratio, { atLeast: 1.51 }).met).toBe(false);
    expect(budgetOf(ratio, { atMost: 1.5 })).toEqual({ budget: '≤ 1.5', met: true });
    expect(budgetOf(ratio, { atMost: 1.49 }).met).toBe(false);
    expect(budgetOf(ratio, {})).toEqual({});
  });

  test('what could not be measured is neither met nor missed', () => {
    expect(budgetOf(undefined, { atLeast: 1 })).toEqual({ budget: '≥ 1' });
  });

  test('the summary counts comparisons and curves, and says how far the missed ones are', () => {
    const row = { section: 's', ours: '1' };
    const ratio = { min: 1, median: 1.25, max: 2 };
    const summary = budgets([
      { ...row, what: 'a', against: 'b', ratio, budget: '≥ 1', met: true },
      { ...row, what: 'c', against: 'd', ratio, budget: '≥ 2', met: false },
      { ...row, what: 'no budget', ratio },
      curveOf({
        ...row,
        what: 'e',
        axis: 'n',
        unit: 'µs',
        worst: 'flat',
        points: at([1, 1], [2, 9]),
      }),
    ]);
    expect(summary).toEqual({
      met: 1,
      of: 3,
      missed: ['c, against d: 1.25, budget ≥ 2', 'e: worse, budget flat'],
    });
  });
});

describe('verdicts of curves', () => {
  test('what costs at most a quarter more at any point is flat', () => {
    expect(verdictOf(at([1, 100], [10, 90], [1000, 125]))).toBe('flat');
    expect(verdictOf(at([1, 100], [10, 126], [1000, 100]))).not.toBe('flat');
  });

  test('a quarter for each doubling is logarithmic, more is worse', () => {
    expect(verdictOf(at([1, 100], [4, 150], [16, 200]))).toBe('logarithmic');
    expect(verdictOf(at([1, 100], [4, 160], [16, 200]))).toBe('worse');
    expect(verdictOf(at([1, 1], [10, 10], [100, 100]))).toBe('worse');
  });

  test('an axis that starts at nothing counts its points', () => {
    expect(verdictOf(at(['0 %', 100], ['50 %', 125], ['100 %', 150]))).toBe('logarithmic');
    expect(verdictOf(at([0, 100], [50, 125], [100, 151]))).toBe('worse');
  });

  test('a budget allows its verdict and what is better', () => {
    const curve = { section: 's', what: 'w', axis: 'n', unit: 'µs', ours: '' };
    const flat = { ...curve, points: at([1, 1], [8, 1]) };
    const log = { ...curve, points: at([1, 100], [8, 170]) };
    expect(curveOf({ ...flat, worst: 'logarithmic' }).met).toBe(true);
    expect(curveOf({ ...log, worst: 'logarithmic' }).met).toBe(true);
    expect(curveOf({ ...log, worst: 'flat' }).met).toBe(false);
    expect(curveOf(log).met).toBeUndefined();
  });
});

describe('the page', () => {
  test('comparisons, curves and notes stand under their sections, empty columns are left out', () => {
    const text = render(
      [
        {
          section: 'One',
          what: 'read',
          against: 'raw',
          ratio: { min: 1, median: 2, max: 3 },
          budget: '≥ 1.5',
          met: true,
          ours: '2 k/s',
          peer: '1 k/s',
          note: 'why',
        },
        { section: 'Two', what: 'size', ours: '7 KiB' },
        curveOf({
          section: 'Two',
          what: 'open',
          axis: 'size',
          unit: 'ms',
          points: at(['1 G', 7], ['1 T', 7]),
        }),
      ],
      new Map([['One | read | raw', 1.9]]),
    );
    expect(text).toBe(
      [
        '## One',
        '',
        '| what | against | ratio (min … max)      | before | budget | met | ours  | peer  |',
        '|------|---------|------------------------|--------|--------|-----|-------|-------|',
        '| read | raw     | **2.00** (1.00 … 3.00) | 1.90   | ≥ 1.5  | yes | 2 k/s | 1 k/s |',
        '',
        '- *read*: why',
        '',
        '## Two',
        '',
        '| what | ours  |',
        '|------|-------|',
        '| size | 7 KiB |',
        '',
        '| cost against size | 1 G  | 1 T  | verdict | budget | met |',
        '|-------------------|------|------|---------|--------|-----|',
        '| open, ms          | 7.00 | 7.00 | flat    |        |     |',
      ].join('\n'),
    );
  });
});

describe('rows over NBD', () => {
  const result = (iops: number, latencyUs: number, cpuSeconds: number) => {
    return { iops, latencyUs, p99Us: 0, requests: 1000, cpuSeconds };
  };

  test('a rate is ours over the peer, with the CPU of both for a million requests', () => {
    const row = {
      section: 's',
      what: 'w',
      job: { rw: 'randread' as const, blockSize: '4k', depth: 1 },
      ours: 'ours',
      peers: [{ target: 'raw', atLeast: 2 }, { target: 'file' }],
    };
    const results: Record<string, ReturnType<typeof result>[]> = {
      ours: [result(20_000, 50, 0.01), result(30_000, 33, 0.02), result(40_000, 25, 0.03)],
      raw: [result(10_000, 100, 0.05), result(10_000, 100, 0.05), result(10_000, 100, 0.05)],
      file: [],
    };
    const [raw, file] = compare(row, (target: string) => results[target] ?? []);
    expect(raw).toEqual({
      section: 's',
      what: 'w',
      against: 'raw',
      ratio: { min: 2, median: 3, max: 4 },
      budget: '≥ 2',
      met: true,
      ours: '30.0 k/s',
      peer: '10.0 k/s',
      cpu: { ours: 20, peer: 50 },
    });
    expect(file.ratio).toBeUndefined();
  });

  test('a latency is less where it is better', () => {
    const row = {
      section: 's',
      what: 'w',
      job: { rw: 'randwrite' as const, blockSize: '4k', depth: 1 },
      ours: 'ours',
      peers: [{ target: 'plain', atMost: 1.3 }],
      measure: 'latency' as const,
    };
    const [plain] = compare(row, (target: string) => [
      target === 'ours' ? result(1, 140, 0.01) : result(1, 100, 0.01),
    ]);
    expect(plain).toMatchObject({ met: false, ours: '140 µs', peer: '100 µs' });
    expect(plain.ratio.median).toBeCloseTo(1.4);
  });

  test('a name means one row, and a peer is asked once in it', () => {
    const names = ROWS.map(({ section, what }) => `${section}: ${what}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { peers } of ROWS) {
      expect(new Set(peers.map(({ target }) => target)).size).toBe(peers.length);
    }
  });
});

test('memory and images are told in MiB, also beyond 32 bits', () => {
  expect(mebibytes(256 << 20)).toBe(256);
  expect(mebibytes(25_276_514_304)).toBe(24_106);
});

describe('the history', () => {
  const machine = {
    at: '2030-01-01',
    cpu: 'fast',
    cores: 2,
    memoryMiB: 4,
    kernel: '6',
    node: 'v20',
  };
  const tools = { fio: 'fio-3', qemu: 'qemu-nbd 7', nbdkit: 'nbdkit 1', load: [0.1, 0.2, 0.3] };
  const settings = { rounds: 5, seconds: 1, size: 256 << 20, snapshots: 1000, commit: 'abc1234' };
  const run = (median: number, cpu = 'fast') => ({
    machine: { ...machine, ...tools, cpu },
    tookSeconds: 700,
    settings,
    findings: [
      {
        section: 'One',
        what: 'read',
        against: 'raw',
        ratio: { min: 1, median, max: 3 },
        budget: '≥ 1.5',
        met: median >= 1.5,
        ours: '2 k/s',
        peer: '1 k/s',
      },
    ],
  });

  test('a run is a line, and earlier lines stay', () => {
    const dir = mkdtempSync(join(tmpdir(), 'palimpsest-history-'));
    try {
      const file = join(dir, 'history.jsonl');
      expect(readHistory(file)).toEqual([]);
      writeFileSync(file, '');
      appendRun(file, run(1.7));
      appendRun(file, run(1.8));
      expect(readHistory(file)).toEqual([run(1.7), run(1.8)]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  test('what was before is the last run on the same kind of machine', () => {
    const runs = [run(1.1), run(1.2), run(9, 'other')];
    expect([...ratiosBefore(runs, run(0).machine)]).toEqual([['One | read | raw', 1.2]]);
    expect([...ratiosBefore([], run(0).machine)]).toEqual([]);
  });

  test('a budget that was missed once is not one that always holds', () => {
    expect(metByRun([run(1.7), run(1.4), run(1.5)])).toMatchObject([{ met: 2, of: 3 }]);
  });

  test('the page shows the last run, its machine, and what was missed', () => {
    const text = page([run(1.7), run(1.4)]);
    expect(text).toMatch(/^# Performance\n/);
    expect(text).toContain('**0 of 1 budgets met.**');
    expect(text).toContain('missed: read, against raw: 1.40, budget ≥ 1.5');
    expect(text).toContain('One: read, against raw: 1 of 2');
    expect(text).toContain('## One\n\n| what | against | ratio');
    expect(text).toContain('Machine: fast, 2 cores');
    expect(text).toContain('Commit abc1234.');
    expect(page([run(1.7), run(1.4)])).toBe(text);
  });

  test('a part that the last run left out is shown as of the run that has it', () => {
    const other = { ...run(1.7), findings: [{ section: 'Three', what: 'size', ours: '7 KiB' }] };
    const text = page([other, run(1.4)]);
    expect(text).toContain('| size | 7 KiB |');
    expect(text).toContain('*Three*: of an earlier run');
    expect(
      page([other, { ...run(1.4), machine: { ...run(1.4).machine, cores: 64 } }]),
    ).not.toContain('7 KiB');
  });
});
