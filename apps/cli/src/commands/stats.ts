/** pal stats: what was done since the store was opened, and what it took. */
import type { StoreCost, StoreMetrics, WriteCost } from '@palimpsest/control';
import { formatSize } from '@palimpsest/control/grammar';
import { type CommandContext, withStore } from '../command-context.js';
import { formatTime } from '../output.js';

/** pal stats [--prometheus] */
export async function showStats(context: CommandContext): Promise<void> {
  const { options, output, terminal } = context;
  await withStore(context, async (client) => {
    const metrics = await client.metrics();
    if (options.prometheus === true) {
      const { prometheusText } = await import('@palimpsest/server/client');
      terminal.out(prometheusText(metrics));
      return;
    }
    output.item('Stats', metrics, described(metrics));
    if (client.mode === 'direct') {
      output.say('no daemon serves this store: it was opened just now, so there is little to tell');
    }
  });
}

function described(metrics: StoreMetrics): string {
  const { since, blockSize, save, totals, cost } = metrics;
  const { users, clones } = totals;
  const store: readonly Row[] = [
    ['since', formatTime(since)],
    ['users', `read ${formatSize(users.readBytes)}, wrote ${formatSize(users.writtenBytes)}`],
    ['user flushes', String(users.flushes)],
    [
      'to images',
      `${formatSize(clones.writtenBytes)}, ${counted(clones.flushes, 'flush', 'flushes')}`,
    ],
    [
      'to save volume',
      `${formatSize(save.dataBytes)} data, ${formatSize(save.journalBytes)} journal, ` +
        `${formatSize(save.mapBytes)} map, ${counted(save.flushes, 'flush', 'flushes')}`,
    ],
    ...costRows(cost),
    ...flushRows(cost),
  ];
  const volumes = metrics.volumes.flatMap((each): readonly Row[] => [
    ['', ''],
    [each.reference, `wrote ${formatSize(each.users.writtenBytes)}`],
    [
      'first writes',
      `${counted(each.firstWrittenBlocks)}: ${each.copiedOutBlocks} copied out, ` +
        `${each.savedAsZeroBlocks} recorded as zeros`,
    ],
    ...costRows(each.cost),
  ]);
  const branches = metrics.branches.flatMap((each): readonly Row[] => [
    ['', ''],
    [each.reference, `wrote ${formatSize(each.users.writtenBytes)}`],
    [
      'stored',
      `${formatSize(each.storedBlocks * blockSize)}; ${counted(each.zeroBlocks)} of zeros`,
    ],
    ...costRows(each.cost),
  ]);
  const rows = [...store, ...volumes, ...branches];
  const width = Math.max(...rows.map(([name]) => name.length)) + 2;
  return rows.map(([name, value]) => `${name.padEnd(width)}${value}`.trimEnd()).join('\n');
}

type Row = readonly [name: string, value: string];

function costRows(cost: WriteCost): readonly Row[] {
  const { writeAmplification, firstWriteAmplification, spacePerFirstWrite } = cost;
  const rows: (Row | undefined)[] = [
    row('amplification', writeAmplification, 'bytes to devices for a byte written'),
    row('of first writes', firstWriteAmplification, 'bytes to devices for a byte'),
    row('space', spacePerFirstWrite, 'bytes of the save volume for a block written first'),
  ];
  return rows.filter((each) => each !== undefined);
}

function flushRows({ flushesPerFirstWrite, flushesPerUserFlush }: StoreCost): readonly Row[] {
  const rows: (Row | undefined)[] = [
    row('flushes', flushesPerFirstWrite, 'of devices for a first write'),
    row('', flushesPerUserFlush, 'of devices for a flush of a user'),
  ];
  return rows.filter((each) => each !== undefined);
}

function row(name: string, value: number | null, unit: string): Row | undefined {
  return value === null ? undefined : [name, `${Number(value.toPrecision(4))} ${unit}`];
}

function counted(count: number, one = 'block', many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
