/** pal ls: everything as it stands on each other: volume, its snapshots, branches of these, and so on. */
import type { BranchInfo, SnapshotInfo, VolumeInfo } from '@palimpsest/control';
import { formatSize } from '@palimpsest/control/grammar';
import { type CommandContext, UsageError, withStore } from '../command-context.js';
import { formatTime } from '../output.js';

/** A thing with what stands on it. */
interface Node {
  readonly reference: string;
  readonly kind: 'volume' | 'snapshot' | 'branch';
  readonly words: string;
  readonly children: readonly Node[];
}

/** What a store holds. */
interface Everything {
  readonly volumes: readonly VolumeInfo[];
  readonly snapshots: readonly SnapshotInfo[];
  readonly branches: readonly BranchInfo[];
}

/** pal ls [VOLUME] [--flat] */
export async function list(context: CommandContext, name?: string): Promise<void> {
  const { options, output } = context;
  const all = await withStore(context, async (client) => ({
    volumes: await client.listVolumes(),
    snapshots: await client.listSnapshots(),
    branches: await client.listBranches(),
  }));
  const volumes = all.volumes.filter((each) => name === undefined || each.name === name);
  if (name !== undefined && volumes.length === 0) {
    throw new UsageError(`there is no volume "${name}"; see which there are: pal ls`);
  }
  const trees = volumes
    .filter((each) => each.deleted !== true || each.snapshots + each.branches > 0)
    .map((volume) => volumeNode(all, volume));
  const text = trees.flatMap((tree) => (options.flat === true ? flat(tree) : drawn(tree)));
  if (context.json || text.length > 0) output.item('Tree', { items: trees }, text.join('\n'));
  if (trees.length === 0) output.say('no volumes yet; make one: pal volume create NAME --size 64M');
}

function volumeNode(all: Everything, volume: VolumeInfo): Node {
  const { reference, name } = volume;
  const snapshots = all.snapshots.filter((each) => each.volume === name);
  const independent = all.branches.filter((each) => each.volume === name && each.base === '');
  const notes = [
    formatSize(volume.size),
    ...stateOf(volume),
    ...(volume.deleted === true ? ['deleted, kept for what stands on it'] : []),
  ];
  if (volume.restoring !== undefined) notes.push(`being restored from ${volume.restoring}`);
  return {
    reference,
    kind: 'volume',
    words: notes.join(', '),
    children: [
      ...snapshots
        .filter((each) => each.branch === undefined)
        .map((snapshot) => snapshotNode(all, snapshot)),
      ...independent.map((branch) => branchNode(all, branch)),
    ],
  };
}

function snapshotNode(all: Everything, snapshot: SnapshotInfo): Node {
  const { reference, holds = [], expiresAt, message } = snapshot;
  const notes = [
    formatTime(snapshot.createdAt),
    ...holds.map(({ tag }) => `held by ${tag}`),
    ...(expiresAt === undefined ? [] : [`until ${formatTime(expiresAt)}`]),
    ...(message === undefined ? [] : [JSON.stringify(message.split('\n', 1)[0])]),
  ];
  const on = all.branches.filter((each) => each.base === reference);
  return {
    reference,
    kind: 'snapshot',
    words: notes.join(', '),
    children: on.map((branch) => branchNode(all, branch)),
  };
}

function branchNode(all: Everything, branch: BranchInfo): Node {
  const { reference, volume, name, quotaBytes } = branch;
  const own = all.snapshots.filter((each) => each.volume === volume && each.branch === name);
  const notes = [
    'branch',
    ...(branch.base === '' ? ['independent'] : []),
    ...(quotaBytes === undefined ? [] : [`at most ${formatSize(quotaBytes)}`]),
    ...stateOf(branch),
  ];
  return {
    reference,
    kind: 'branch',
    words: notes.join(', '),
    children: own.map((snapshot) => snapshotNode(all, snapshot)),
  };
}

function stateOf({ state }: VolumeInfo | BranchInfo): readonly string[] {
  return state === 'available' ? [] : [state.toUpperCase()];
}

function flat({ reference, children }: Node): readonly string[] {
  return [reference, ...children.flatMap(flat)];
}

function drawn(node: Node): readonly string[] {
  const { reference, words, children } = node;
  return [
    `${reference}  ${words}`,
    ...children.flatMap((child, index) => {
      const isLast = index === children.length - 1;
      const [first = '', ...rest] = drawn(child);
      return [
        `${isLast ? '└─ ' : '├─ '}${first}`,
        ...rest.map((line) => `${isLast ? '   ' : '│  '}${line}`),
      ];
    }),
  ];
}
