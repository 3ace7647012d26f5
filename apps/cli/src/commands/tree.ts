/** pal ls: everything as it stands on each other: volume, its snapshots, branches of these, and so on. */
import type { BranchInfo, DeletedInfo, SnapshotInfo, VolumeInfo } from '@palimpsest/control';
import { formatSize } from '@palimpsest/control/grammar';
import { type CommandContext, UsageError, withStore } from '../command-context.js';
import { type Column, formatTime } from '../output.js';

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

/** pal ls [VOLUME] [--flat] [--deleted] */
export async function list(context: CommandContext, name?: string): Promise<void> {
  const { options, output } = context;
  if (options.deleted === true) return listDeleted(context);
  const all = await withStore(context, async (client) => ({
    volumes: await client.listVolumes(),
    snapshots: await client.listSnapshots(),
    branches: await client.listBranches(),
  }));
  const volumes = all.volumes.filter((each) => name === undefined || each.name === name);
  if (name !== undefined && volumes.length === 0) {
    throw new UsageError(`there is no volume "${name}"; see which there are: pal ls`);
  }
  const forest = new Forest(all);
  const trees = volumes
    .filter((each) => each.deleted !== true || each.snapshots + each.branches > 0)
    .map((volume) => forest.volume(volume));
  const text = trees.flatMap((tree) => (options.flat === true ? flat(tree) : drawn(tree)));
  if (context.json || text.length > 0) output.item('Tree', { items: trees }, text.join('\n'));
  if (trees.length === 0) output.say('no volumes yet; make one: pal volume create NAME --size 64M');
}

const DELETED: readonly Column<DeletedInfo>[] = [
  { title: 'DELETED', value: ({ reference }) => reference },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'AT', value: ({ deletedAt }) => formatTime(deletedAt) },
  { title: 'BY', value: ({ by }) => by },
  {
    title: 'UNDO UNTIL',
    value: ({ recoverableUntil }) =>
      recoverableUntil === undefined ? '-' : formatTime(recoverableUntil),
  },
  { title: 'HIDDEN UNTIL GONE', value: ({ hiddenBehind = [] }) => hiddenBehind.join(', ') || '-' },
];

/** pal ls --deleted */
async function listDeleted(context: CommandContext): Promise<void> {
  const { options, output } = context;
  const deleted = await withStore(context, (client) => client.deleted());
  output.list('DeletedList', deleted, DELETED, { quiet: options.flat === true });
  if (deleted.length === 0) output.say('nothing that was deleted is left');
}

/** The trees of one store; each branch has its place once, however its bases run (below). */
class Forest {
  readonly #all: Everything;
  readonly #placed = new Set<string>();

  constructor(all: Everything) {
    this.#all = all;
  }

  volume(volume: VolumeInfo): Node {
    const { reference, name } = volume;
    const snapshots = this.#all.snapshots.filter((each) => each.volume === name);
    const branches = this.#all.branches.filter((each) => each.volume === name);
    const notes = [
      formatSize(volume.size),
      ...stateOf(volume),
      ...(volume.deleted === true ? ['deleted, kept for what stands on it'] : []),
    ];
    if (volume.restoring !== undefined) notes.push(`being restored from ${volume.restoring}`);
    const children = [
      ...snapshots
        .filter((each) => each.branch === undefined)
        .map((snapshot) => this.#snapshot(snapshot)),
      ...branches.filter(({ base }) => base === '').map((branch) => this.#branch(branch)),
      ...this.#onHidden(branches),
    ];
    // What stands on a snapshot of itself, or of what stands on it: it was refreshed with that.
    for (const branch of branches) {
      if (!this.#placed.has(branch.reference)) children.push(this.#branch(branch, branch.base));
    }
    return { reference, kind: 'volume', words: notes.join(', '), children };
  }

  #snapshot(snapshot: SnapshotInfo): Node {
    const { reference, holds = [], expiresAt, message } = snapshot;
    const notes = [
      formatTime(snapshot.createdAt),
      ...holds.map(({ tag }) => `held by ${tag}`),
      ...(expiresAt === undefined ? [] : [`until ${formatTime(expiresAt)}`]),
      ...(message === undefined ? [] : [JSON.stringify(message.split('\n', 1)[0])]),
    ];
    return { reference, kind: 'snapshot', words: notes.join(', '), children: this.#on(reference) };
  }

  #branch(branch: BranchInfo, on?: string): Node {
    const { reference, volume, name, quotaBytes } = branch;
    this.#placed.add(reference);
    const own = this.#all.snapshots.filter(
      (each) => each.volume === volume && each.branch === name,
    );
    const notes = [
      on === undefined ? 'branch' : `branch of ${on}`,
      ...(branch.base === '' ? ['independent'] : []),
      ...(quotaBytes === undefined ? [] : [`at most ${formatSize(quotaBytes)}`]),
      ...stateOf(branch),
    ];
    return {
      reference,
      kind: 'branch',
      words: notes.join(', '),
      children: own.map((snapshot) => this.#snapshot(snapshot)),
    };
  }

  /** Deleted snapshots, with the branches that they are hidden behind. */
  #onHidden(branches: readonly BranchInfo[]): Node[] {
    const hidden = branches.map(({ base }) => base).filter((base) => base.endsWith(HIDDEN));
    return [...new Set(hidden)].map((base) => ({
      reference: base.slice(0, -HIDDEN.length),
      kind: 'snapshot',
      words: 'deleted, hidden until what stands on it goes',
      children: this.#on(base),
    }));
  }

  #on(base: string): Node[] {
    return this.#all.branches
      .filter((each) => each.base === base && !this.#placed.has(each.reference))
      .map((branch) => this.#branch(branch));
  }
}

/** Said of a branch's base that is hidden behind it. */
const HIDDEN = ' (deleted)';

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
