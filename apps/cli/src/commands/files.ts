/** pal fs ls, df, diff, format, mkdir, rm, mv. */
import { formatSize } from '@palimpsest/control/grammar';
import type { CheckFinding, FileChange, FileInfo, FileSpace } from '@palimpsest/mounted-files';
import {
  CheckFailure,
  type CommandContext,
  given,
  textOption,
  withStore,
} from '../command-context.js';
import { consent } from '../consent.js';
import { partitionOf, placeOf } from '../file-place.js';
import { type Column, formatTime } from '../output.js';

const TYPES: Readonly<Record<FileInfo['type'], string>> = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  'character-device': 'c',
  'block-device': 'b',
  fifo: 'p',
  socket: 's',
};

const LONG: readonly Column<FileInfo>[] = [
  { title: 'MODE', value: ({ type, mode }) => `${TYPES[type]}${modeText(mode)}` },
  { title: 'LINKS', value: ({ links }) => String(links) },
  { title: 'UID', value: ({ uid }) => String(uid) },
  { title: 'GID', value: ({ gid }) => String(gid) },
  { title: 'SIZE', value: ({ size }) => String(size) },
  { title: 'MODIFIED', value: ({ modifiedAt }) => formatTime(modifiedAt) },
];

const SPACE: readonly Column<FileSpace>[] = [
  { title: 'REFERENCE', value: ({ reference }) => reference },
  { title: 'LABEL', value: ({ label }) => label || '-' },
  { title: 'SIZE', value: ({ sizeBytes }) => formatSize(sizeBytes) },
  { title: 'USED', value: ({ usedBytes }) => formatSize(usedBytes) },
  { title: 'FREE', value: ({ freeBytes }) => formatSize(freeBytes) },
  {
    title: 'USE',
    value: ({ usedBytes, sizeBytes }) => `${Math.ceil((100 * usedBytes) / sizeBytes)}%`,
  },
  { title: 'INODES FREE', value: ({ freeInodes, inodes }) => `${freeInodes} of ${inodes}` },
  { title: 'ACCESS', value: ({ readOnly }) => (readOnly === undefined ? 'rw' : 'ro') },
];

const FINDINGS: readonly Column<CheckFinding>[] = [
  { title: 'SEVERITY', value: ({ severity }) => severity },
  { title: 'CODE', value: ({ code }) => code },
  { title: 'PATH', value: ({ path }) => path ?? '-' },
  { title: 'WHAT', value: ({ message }) => message },
];

const SIGNS: Readonly<Record<FileChange['kind'], string>> = {
  added: '+',
  removed: '-',
  changed: 'M',
};

/** pal fs ls PATH [-l] [-R] [-a] */
export async function listFiles(context: CommandContext, path: string): Promise<void> {
  const { options, output } = context;
  const recursive = options.recursive === true;
  const items: FileInfo[] = [];
  await withStore(context, async ({ files }) => {
    for await (const file of files.list(placeOf(context, path), { recursive })) {
      if (options.all === true || !isHidden(file, path)) items.push(file);
    }
  });
  const name = (file: FileInfo): string => printable(recursive ? file.path : file.name);
  const names: Column<FileInfo> = {
    title: 'NAME',
    value: (file) => (file.target === undefined ? name(file) : `${name(file)} -> ${file.target}`),
  };
  if (options.long === true) output.list('FileList', items, [...LONG, names]);
  else output.list('FileList', items, [{ title: 'NAME', value: name }], { quiet: true });
}

/** pal fs df [REFERENCE...] */
export async function showSpace(
  context: CommandContext,
  references: readonly string[],
): Promise<void> {
  const { output } = context;
  await withStore(context, async (client) => {
    const items: FileSpace[] = [];
    if (references.length > 0) {
      for (const reference of references) {
        items.push(await client.files.space(reference, partitionOf(context)));
      }
    } else {
      const all = (await client.listExports()).filter(({ kind }) => kind !== 'snapshot');
      for (const { name } of all) {
        try {
          items.push(await client.files.space(name, partitionOf(context)));
        } catch (error) {
          output.say(`${name}: ${(error as Error).message}`); // The others have theirs all the same.
        }
      }
    }
    output.list('FileSpaceList', items, SPACE);
    const { usedBytes, totalBytes } = (await client.status()).space;
    output.say(
      `the store's save volume: ${formatSize(usedBytes)} of ${formatSize(totalBytes)} used; ` +
        'whose it is: pal space',
    );
  });
}

/** pal fs check REFERENCE */
export async function checkFiles(context: CommandContext, text: string): Promise<void> {
  const { output } = context;
  const { reference, findings } = await withStore(context, ({ files }) =>
    files.check(text, partitionOf(context)),
  );
  output.list('CheckFindingList', findings, FINDINGS);
  if (findings.length === 0) {
    output.say(`${reference}: nothing is wrong with its file system`);
    return;
  }
  throw new CheckFailure(
    `${findings.length} thing${findings.length === 1 ? ' is' : 's are'} wrong with the file system on ` +
      `${reference}; save what can be read: pal fs cp -r ${reference}:/ DIRECTORY, or go back to a ` +
      'snapshot: pal restore',
  );
}

/** pal fs diff BEFORE AFTER */
export async function showChanges(
  context: CommandContext,
  before: string,
  after: string,
): Promise<void> {
  const { json, output, terminal } = context;
  const items: FileChange[] = [];
  let count = 0;
  await withStore(context, async ({ files }) => {
    for await (const change of files.diff(before, after, partitionOf(context))) {
      count += 1;
      if (json) items.push(change);
      else terminal.out(`${SIGNS[change.kind]} ${printable(change.path)}\n`);
    }
  });
  if (json) output.list('FileChangeList', items, []);
  output.say(`${count} path${count === 1 ? ' is' : 's are'} not the same`);
}

/** pal fs format TARGET [--label NAME] */
export async function formatVolume(context: CommandContext, reference: string): Promise<void> {
  const { options, output } = context;
  const label = textOption(options, 'label');
  const how = { ...partitionOf(context), ...given({ label }) };
  await withStore(context, async ({ files }) => {
    const look = await files.format(reference, { ...how, dryRun: true });
    if (options.dryRun === true) {
      output.item('Format', look, reference);
      output.say(`there is ${look.before} on ${reference}; nothing was done`);
      return;
    }
    const lost = `write a file system over ${look.before} on ${reference}`;
    const isFree = look.before === 'nothing';
    if (!isFree && !(await consent(context, lost, `Write over ${look.before} on ${reference}?`))) {
      return;
    }
    const made = await files.format(reference, { ...how, overwrite: !isFree });
    output.item('Format', made, reference);
    output.say(
      `made a file system of ${formatSize(made.sizeBytes)}; copy something: ` +
        `pal fs cp -r DIRECTORY ${reference}:/`,
    );
  });
}

/** pal fs mkdir PATHS... [-p] */
export async function makeDirectories(
  context: CommandContext,
  paths: readonly string[],
): Promise<void> {
  const parents = context.options.parents === true;
  await withStore(context, async ({ files }) => {
    for (const path of paths) await files.makeDirectory(placeOf(context, path), { parents });
  });
}

/** pal fs rm PATHS... [-r] [-f] */
export async function removeFiles(
  context: CommandContext,
  paths: readonly string[],
): Promise<void> {
  const recursive = context.options.recursive === true;
  const force = context.options.force === true;
  await withStore(context, async ({ files }) => {
    for (const path of paths) await files.remove(placeOf(context, path), { recursive, force });
  });
}

/** pal fs mv FROM TO */
export async function moveFile(context: CommandContext, from: string, to: string): Promise<void> {
  await withStore(context, ({ files }) => files.move(placeOf(context, from), placeOf(context, to)));
}

/** A name that begins with a dot, below the place that was asked for. */
function isHidden({ path }: FileInfo, asked: string): boolean {
  const above = asked
    .slice(asked.indexOf(':') + 1)
    .split('/')
    .filter((name) => name !== '');
  const names = path.split('/').filter((name) => name !== '');
  return names.slice(asked.includes(':') ? above.length : 0).some((name) => name.startsWith('.'));
}

function modeText(mode: number): string {
  const bits = [0o400, 0o200, 0o100, 0o40, 0o20, 0o10, 4, 2, 1];
  const text = bits.map((bit, index) => ((mode & bit) === 0 ? '-' : ('rwx'[index % 3] as string)));
  const special = [
    [0o4000, 2, 's'],
    [0o2000, 5, 's'],
    [0o1000, 8, 't'],
  ] as const;
  for (const [bit, at, sign] of special) {
    if ((mode & bit) !== 0) text[at] = text[at] === '-' ? sign.toUpperCase() : sign;
  }
  return text.join('');
}

/** A name on a line of its own; nothing in it moves the cursor. */
function printable(name: string): string {
  return name.replace(/[\p{Cc}\u2028\u2029]/gu, '?');
}
