/** pal snapshot create, list, delete. */
import type { SnapshotInfo } from '@palimpsest/control';
import { formatSize, parseReference, quote } from '@palimpsest/control/grammar';
import { type CommandContext, textOption, UsageError, withStore } from '../command-context.js';
import { type Column, formatTime } from '../output.js';
import { removeWithCare } from '../remove.js';

const COLUMNS: readonly Column<SnapshotInfo>[] = [
  { title: 'SNAPSHOT', value: (snapshot) => snapshot.reference },
  { title: 'CREATED', value: (snapshot) => formatTime(snapshot.createdAt) },
  { title: 'SIZE', value: (snapshot) => formatSize(snapshot.size) },
  { title: 'BRANCHES', value: (snapshot) => String(snapshot.branches.length) },
  { title: 'STATE', value: (snapshot) => snapshot.state },
  { title: 'MESSAGE', value: (snapshot) => snapshot.message ?? '' },
];

/** pal snapshot create VOLUME[@NAME] [-m MESSAGE] */
export async function createSnapshot(context: CommandContext, text: string): Promise<void> {
  const message = textOption(context.options, 'message');
  const { volume, name } = target(text);
  const snapshot = await withStore(context, (client) =>
    client.createSnapshot({
      volume,
      ...(name === undefined ? {} : { name }),
      ...(message === undefined ? {} : { message }),
    }),
  );
  context.output.item('Snapshot', snapshot, snapshot.reference);
  context.output.say(
    `took a snapshot of ${volume}; write to a copy of it: ` +
      `pal branch create NAME --from ${snapshot.reference}`,
  );
}

/** pal snapshot list [VOLUME] */
export async function listSnapshots(context: CommandContext, volume?: string): Promise<void> {
  const snapshots = await withStore(context, (client) => client.listSnapshots(volume));
  const quiet = context.options.quiet === true;
  context.output.list('SnapshotList', snapshots, COLUMNS, { quiet });
  if (snapshots.length === 0) {
    context.output.say(`no snapshots yet; take one: pal snapshot create ${volume ?? 'VOLUME'}`);
  }
}

/** pal snapshot delete REFERENCE */
export async function deleteSnapshot(context: CommandContext, reference: string): Promise<void> {
  await withStore(context, async (client) => {
    const removal = await removeWithCare(context, (how) => client.deleteSnapshot(reference, how));
    if (removal !== undefined) {
      context.output.item('Removal', removal, removal.removed.join('\n'));
    }
  });
}

/** "prod" or "prod@monday": the volume, and the name if one is given. */
function target(text: string): { readonly volume: string; readonly name?: string } {
  const reference = parseReference(text);
  if (reference.kind === 'volume') return { volume: reference.volume };
  if (reference.kind === 'snapshot' && reference.snapshot.by === 'name') {
    return { volume: reference.volume, name: reference.snapshot.name };
  }
  throw new UsageError(
    `${quote(text)} does not name a new snapshot; write VOLUME, or VOLUME@NAME: ` +
      `pal snapshot create ${reference.volume}`,
  );
}
