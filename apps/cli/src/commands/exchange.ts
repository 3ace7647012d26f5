/** pal diff, space, export, import. */
import type { SpaceForecast, SpaceInfo, UnfinishedImport } from '@palimpsest/control';
import { formatSize, quote } from '@palimpsest/control/grammar';
import {
  type CommandContext,
  requiredOption,
  textOption,
  UsageError,
  withStore,
} from '../command-context.js';
import type { Column } from '../output.js';

const SPACE: readonly Column<SpaceInfo>[] = [
  { title: 'REFERENCE', value: ({ reference }) => reference },
  { title: 'SIZE', value: ({ logicalBytes }) => formatSize(logicalBytes) },
  { title: 'SHARED', value: ({ sharedBytes }) => formatSize(sharedBytes) },
  { title: 'EXCLUSIVE', value: ({ exclusiveBytes }) => formatSize(exclusiveBytes) },
  {
    title: 'QUOTA',
    value: ({ quotaBytes }) => (quotaBytes === undefined ? '' : formatSize(quotaBytes)),
  },
];

const UNFINISHED: readonly Column<UnfinishedImport>[] = [
  { title: 'VOLUME', value: ({ volume }) => volume },
  { title: 'SNAPSHOT', value: ({ name }) => name },
  { title: 'START', value: ({ position }) => String(position) },
  { title: 'IDENTITY', value: ({ identity }) => identity },
];

/** pal diff A B */
export async function showDifference(context: CommandContext, a: string, b: string): Promise<void> {
  const { terminal, json, output } = context;
  let ranges = 0;
  let bytes = 0;
  await withStore(context, async (client) => {
    // Told as it is found: a difference may have more ranges than memory has room for.
    for await (const { position, length } of client.diff(a, b)) {
      if (json) {
        const start = ranges === 0 ? '{"schema":"palimpsest/1","kind":"Difference","items":[' : ',';
        terminal.out(`${start}${JSON.stringify({ position, length })}`);
      } else terminal.out(`${position} ${length}\n`);
      ranges += 1;
      bytes += length;
    }
  });
  if (json) {
    const start = ranges === 0 ? '{"schema":"palimpsest/1","kind":"Difference","items":[' : '';
    terminal.out(`${start}],"bytes":${bytes}}\n`);
  }
  output.say(`${formatSize(bytes)} in ${ranges} range${ranges === 1 ? '' : 's'} may differ`);
}

/** pal space [REFERENCE...] [--delete REFERENCE...] */
export async function showSpace(
  context: CommandContext,
  references: readonly string[],
): Promise<void> {
  const going = context.options.delete as unknown as readonly string[] | undefined;
  await withStore(context, async (client) => {
    if (going !== undefined) {
      const gain = await client.deletionGain(going);
      context.output.item('DeletionGain', gain, String(gain.bytes));
      context.output.say(
        `deleting ${gain.references.join(', ')} gives back ${formatSize(gain.bytes)} of saved blocks`,
      );
      return;
    }
    const items = await client.spaceOf(references.length > 0 ? references : undefined);
    context.output.list('SpaceList', items, SPACE);
    if (references.length === 0) context.output.say(told(await client.forecast()));
  });
}

/** pal export SNAPSHOT [--from SNAPSHOT] [--start BYTE] */
export async function exportSnapshot(context: CommandContext, reference: string): Promise<void> {
  const from = textOption(context.options, 'from');
  const start = textOption(context.options, 'start') ?? '0';
  if (!/^[0-9]{1,15}$/.test(start)) {
    throw new UsageError(`--start ${quote(start)} is no byte; pal import --unfinished tells it`);
  }
  await withStore(context, async (client) => {
    const options = { startsAt: Number(start), ...(from === undefined ? {} : { from }) };
    for await (const bytes of client.exportChanges(reference, options)) {
      await context.terminal.outBytes(bytes);
    }
  });
}

/** pal import --to VOLUME [--name NAME] */
export async function importSnapshot(context: CommandContext): Promise<void> {
  if (context.options.unfinished === true) {
    const items = await withStore(context, (client) => client.unfinishedImports());
    context.output.list('UnfinishedImportList', items, UNFINISHED);
    return;
  }
  const volume = requiredOption(context.options, 'to', 'pal import --to copy < prod.pals');
  const name = textOption(context.options, 'name');
  const progress = context.output.progress();
  try {
    const imported = await withStore(context, (client) =>
      client.importChanges(context.terminal.input(), {
        volume,
        ...(name === undefined ? {} : { name }),
        onProgress: progress.on,
      }),
    );
    progress.end();
    context.output.item('Import', imported, imported.snapshot);
    context.output.say(
      `${formatSize(imported.dataBytes)} of data, ${formatSize(imported.zeroBytes)} of zeros`,
    );
  } finally {
    progress.end();
  }
}

function told({ usedBytes, leftBytes, bytesPerDay, fullInDays }: SpaceForecast): string {
  const left = leftBytes === null ? 'what the disk has is left' : `${formatSize(leftBytes)} left`;
  const used = `${formatSize(usedBytes)} of the save volume used, ${left}`;
  if (bytesPerDay === null) return used;
  const rate = `${bytesPerDay < 0 ? 'shrinking' : 'growing'} ${formatSize(Math.abs(bytesPerDay))} a day`;
  return fullInDays === null
    ? `${used}; ${rate}`
    : `${used}; ${rate}: full in ${fullInDays.toFixed(1)} days`;
}
