/** pal volume create, adopt, release, list. */
import path from 'node:path';
import type { VolumeInfo } from '@palimpsest/control';
import { assertName, formatSize, parseSize, quote } from '@palimpsest/control/grammar';
import {
  type CommandContext,
  requiredOption,
  textOption,
  UsageError,
  withStore,
} from '../command-context.js';
import { type Column, formatTime } from '../output.js';
import { removeWithCare } from '../remove.js';

const COLUMNS: readonly Column<VolumeInfo>[] = [
  { title: 'VOLUME', value: (volume) => volume.reference },
  { title: 'SIZE', value: (volume) => formatSize(volume.size) },
  { title: 'SNAPSHOTS', value: (volume) => String(volume.snapshots) },
  { title: 'BRANCHES', value: (volume) => String(volume.branches) },
  { title: 'STATE', value: (volume) => volume.state },
  { title: 'CREATED', value: (volume) => formatTime(volume.createdAt) },
  { title: 'IMAGE', value: (volume) => volume.path },
];

/** pal volume create NAME --size SIZE [--allocate] */
export async function createVolume(context: CommandContext, name: string): Promise<void> {
  const size = parseSize(requiredOption(context.options, 'size', '--size 64M'));
  const allocate = context.options.allocate === true;
  const progress = context.output.progress();
  try {
    const volume = await withStore(context, (client) =>
      client.createVolume({ name, size, allocate, onProgress: progress.on }),
    );
    progress.end();
    context.output.item('Volume', volume, volume.reference);
    context.output.say(`made a volume of ${formatSize(volume.size)}; its image is ${volume.path}`);
  } finally {
    progress.end();
  }
}

/** pal volume adopt PATH [--name NAME] */
export async function adoptVolume(context: CommandContext, image: string): Promise<void> {
  const name = textOption(context.options, 'name') ?? nameFrom(image);
  const request = { name, path: path.resolve(context.terminal.cwd, image) };
  const volume = await withStore(context, (client) => client.adoptVolume(request));
  context.output.item('Volume', volume, volume.reference);
  context.output.say(
    `adopted ${volume.path} (${formatSize(volume.size)}) where it is; take it back with: ` +
      `pal volume release ${volume.name}`,
  );
}

/** pal volume release NAME [--drop-snapshots] */
export async function releaseVolume(context: CommandContext, name: string): Promise<void> {
  const dropSnapshots = context.options.dropSnapshots === true;
  await withStore(context, async (client) => {
    const removal = await removeWithCare(
      context,
      ({ dryRun, onProgress }) => client.releaseVolume(name, { dryRun, onProgress, dropSnapshots }),
      // Alone, a volume only goes from the store's list: its image keeps every byte.
      { destroys: (plan) => plan.removed.length > 1 },
    );
    if (removal?.dryRun === false) {
      context.output.say(`${removal.path} is a plain raw image again, complete`);
    }
  });
}

/** pal volume delete NAME */
export async function deleteVolume(context: CommandContext, name: string): Promise<void> {
  await withStore(context, (client) =>
    removeWithCare(context, (how) => client.deleteVolume(name, how), { undoable: true }),
  );
}

/** pal resize TARGET --size SIZE */
export async function resize(context: CommandContext, target: string): Promise<void> {
  const size = parseSize(requiredOption(context.options, 'size', '--size 1G'));
  const grown = await withStore(context, (client) => client.resize(target, size));
  context.output.item('base' in grown ? 'Branch' : 'Volume', grown, grown.reference);
  context.output.say(
    `${grown.reference} has ${formatSize(grown.size)}; clients see it when they open it again`,
  );
}

/** pal volume list */
export async function listVolumes(context: CommandContext): Promise<void> {
  const all = await withStore(context, (client) => client.listVolumes());
  // What was deleted and waits for its last dependant is not shown as something to use.
  const volumes = all.filter((each) => each.deleted !== true);
  const quiet = context.options.quiet === true;
  context.output.list('VolumeList', volumes, COLUMNS, { quiet });
  for (const volume of volumes) {
    if (volume.reason !== undefined) context.output.say(`${volume.name}: ${volume.reason}`);
  }
  if (volumes.length === 0) {
    context.output.say('no volumes yet; make one: pal volume create NAME --size 64M');
  }
}

/** "disk.img" is called "disk". */
function nameFrom(image: string): string {
  const name = path.basename(image).replace(/\.(img|raw|iso|bin)$/i, '');
  try {
    assertName('volume', name);
    return name;
  } catch (cause) {
    throw new UsageError(
      `${quote(path.basename(image))} does not make a volume's name; give one: --name NAME ` +
        `(${(cause as Error).message})`,
    );
  }
}
