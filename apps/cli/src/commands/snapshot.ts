/** pal snapshot create, list, delete, refresh; pal group snapshot. */
import type { SnapshotInfo } from '@palimpsest/control';
import {
  formatSize,
  parseReference,
  parseSnapshotReference,
  quote,
  targetReference,
} from '@palimpsest/control/grammar';
import {
  ageIn,
  type CommandContext,
  given,
  labelsOption,
  textOption,
  UsageError,
  withStore,
} from '../command-context.js';
import { type Column, formatTime } from '../output.js';
import { removeWithCare } from '../remove.js';
import { mayReplace } from './replace.js';

const COLUMNS: readonly Column<SnapshotInfo>[] = [
  { title: 'SNAPSHOT', value: (snapshot) => snapshot.reference },
  { title: 'CREATED', value: (snapshot) => formatTime(snapshot.createdAt) },
  { title: 'SIZE', value: (snapshot) => formatSize(snapshot.size) },
  { title: 'BRANCHES', value: (snapshot) => String(snapshot.branches.length) },
  {
    title: 'HOLDS',
    value: ({ holds = [] }) => (holds.length === 0 ? '-' : holds.map(({ tag }) => tag).join(',')),
  },
  { title: 'CONTENT', value: (snapshot) => snapshot.consistency },
  { title: 'STATE', value: (snapshot) => snapshot.state },
  { title: 'MESSAGE', value: (snapshot) => snapshot.message ?? '' },
];

/** pal snapshot create TARGET[@NAME] [-m MESSAGE] */
export async function createSnapshot(context: CommandContext, text: string): Promise<void> {
  const { volume, name } = target(text);
  const request = { volume, ...given({ name }), ...detailsOf(context) };
  const snapshot = await withStore(context, (client) => client.createSnapshot(request));
  context.output.item('Snapshot', snapshot, snapshot.reference);
  context.output.say(
    `took a snapshot of ${volume}, ${snapshot.consistency}; write to a copy of it: ` +
      `pal branch create NAME --from ${snapshot.reference}`,
  );
}

/** pal group snapshot TARGETS... [--name NAME] */
export async function createGroupSnapshot(
  context: CommandContext,
  targets: readonly string[],
): Promise<void> {
  const name = textOption(context.options, 'name');
  const request = { targets, ...given({ name }), ...detailsOf(context) };
  const snapshots = await withStore(context, (client) => client.createGroupSnapshot(request));
  context.output.list('SnapshotList', snapshots, COLUMNS, { quiet: true });
  context.output.say(`took ${snapshots.length} snapshots, all as of one instant`);
}

/** pal snapshot list [TARGET] */
export async function listSnapshots(context: CommandContext, of?: string): Promise<void> {
  const snapshots = await withStore(context, (client) => client.listSnapshots(of));
  const quiet = context.options.quiet === true;
  context.output.list('SnapshotList', snapshots, COLUMNS, { quiet });
  if (snapshots.length === 0) {
    context.output.say(`no snapshots yet; take one: pal snapshot create ${of ?? 'VOLUME'}`);
  }
}

/** pal snapshot info SNAPSHOT */
export async function showSnapshot(context: CommandContext, text: string): Promise<void> {
  const found = await withStore(context, async (client) => {
    const reference = await client.resolve(parseSnapshot(text));
    const target = reference.slice(0, reference.indexOf('@'));
    return (await client.listSnapshots(target)).find((each) => each.reference === reference);
  });
  if (found === undefined) throw new UsageError(`${quote(text)} went away meanwhile`);
  context.output.item('Snapshot', found, lines(found));
}

function lines(snapshot: SnapshotInfo): string {
  const { reference, createdAt, size, consistency, message, expiresAt, holds = [] } = snapshot;
  const { labels = {}, branches, state, reason } = snapshot;
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['reference', reference],
    ['created', formatTime(createdAt)],
    ['size', formatSize(size)],
    ['content', consistency],
    ['message', message],
    ['labels', told(Object.entries(labels).map(([name, value]) => `${name}=${value}`))],
    ['holds', told(holds.map(({ tag, reason: why }) => (why ? `${tag} (${why})` : tag)))],
    ['expires', expiresAt === undefined ? undefined : formatTime(expiresAt)],
    ['branches', told(branches)],
    ['state', reason === undefined ? state : `${state}: ${reason}`],
  ];
  const given = rows.filter(([, value]) => value !== undefined);
  return given.map(([name, value]) => `${`${name}:`.padEnd(11)}${value}`).join('\n');
}

function told(items: readonly string[]): string | undefined {
  return items.length === 0 ? undefined : items.join(', ');
}

function parseSnapshot(text: string): string {
  parseSnapshotReference(text);
  return text;
}

/** pal snapshot delete REFERENCE */
export async function deleteSnapshot(context: CommandContext, reference: string): Promise<void> {
  await withStore(context, (client) =>
    removeWithCare(context, (how) => client.deleteSnapshot(reference, how), { undoable: true }),
  );
}

/** pal snapshot refresh REFERENCE */
export async function refreshSnapshot(context: CommandContext, reference: string): Promise<void> {
  const { options, output } = context;
  const keep = options.drop !== true;
  await withStore(context, async (client) => {
    const from = reference.slice(0, reference.lastIndexOf('@'));
    if (!(await mayReplace(context, client, { target: reference, from, keeps: keep }))) return;
    const force = options.force === true;
    const done = await client.refreshSnapshot(reference, { keep, force });
    output.item('Refresh', done, done.snapshot.reference);
    output.say(`${done.snapshot.reference} is now ${from} as it is at this instant`);
    if (done.kept !== undefined) output.say(`what it was is ${done.kept}; back to it: pal undo`);
  });
}

function detailsOf({ options }: CommandContext): {
  readonly message?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly hold?: string;
  readonly expiresInMs?: number;
} {
  const expires = textOption(options, 'expires');
  return given({
    message: textOption(options, 'message'),
    labels: labelsOption(options),
    hold: textOption(options, 'hold'),
    expiresInMs: expires === undefined ? undefined : ageIn(expires, 'expires'),
  });
}

/** "prod", "prod/dev" or "prod/dev@monday": what to take it of, and the name if one is given. */
function target(text: string): { readonly volume: string; readonly name?: string } {
  const reference = parseReference(text);
  if (reference.kind !== 'snapshot') return { volume: targetReference(reference) };
  const volume = targetReference(reference);
  if (reference.snapshot.by === 'name') return { volume, name: reference.snapshot.name };
  throw new UsageError(
    `${quote(text)} does not name a new snapshot; write VOLUME, or VOLUME@NAME: ` +
      `pal snapshot create ${volume}`,
  );
}
