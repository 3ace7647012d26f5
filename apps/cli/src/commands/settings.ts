/** pal settings: the store's settings, in words that people write. */
import type { StoreSettings } from '@palimpsest/control';
import { formatSize, parseAge, parseSize } from '@palimpsest/control/grammar';
import { type CommandContext, UsageError, withStore } from '../command-context.js';

/** One setting: how it is called, told and read. */
interface Setting {
  readonly key: keyof StoreSettings;
  readonly name: string;
  readonly what: string;
  tell(settings: StoreSettings): string;
  read(text: string): string | number | null;
}

const SETTINGS: readonly Setting[] = [
  {
    key: 'fullPolicy',
    name: 'full',
    what: 'a full store: fail-writes, or drop-oldest snapshot that nothing needs',
    tell: ({ fullPolicy }) => fullPolicy,
    read: (text) => text,
  },
  {
    key: 'graceMs',
    name: 'grace',
    what: 'how long what was deleted can be had back: 0s, 2h, 1d',
    tell: ({ graceMs }) => formatAge(graceMs),
    read: (text) => age(text),
  },
  {
    key: 'maximumBytes',
    name: 'maximum',
    what: 'how large the save volume may grow: 10G, or none',
    tell: ({ maximumBytes }) => (maximumBytes === null ? 'none' : formatSize(maximumBytes)),
    read: (text) => (text === 'none' ? null : parseSize(text)),
  },
  {
    key: 'highWaterPercent',
    name: 'high-water',
    what: 'fullness in percent at which the log warns',
    tell: ({ highWaterPercent }) => String(highWaterPercent),
    read: (text) => (/^[0-9]{1,3}%?$/.test(text) ? Number.parseInt(text, 10) : Number.NaN),
  },
];

/** pal settings [NAME=VALUE...] */
export async function settings(
  context: CommandContext,
  changes: readonly string[] = [],
): Promise<void> {
  const read = Object.fromEntries(changes.map(change)) as Partial<StoreSettings>;
  const now = await withStore(context, (client) =>
    changes.length === 0 ? client.settings() : client.configure(read),
  );
  const rows = SETTINGS.map(
    (each) => `${each.name.padEnd(12)}${each.tell(now).padEnd(14)}${each.what}`,
  );
  context.output.item('Settings', now, rows.join('\n'));
}

function change(text: string): readonly [string, string | number | null] {
  const [name = '', ...rest] = text.split('=');
  const setting = SETTINGS.find((each) => each.name === name);
  if (setting === undefined || rest.length === 0) {
    const known = SETTINGS.map((each) => each.name).join(', ');
    throw new UsageError(`"${text}" changes no setting; write NAME=VALUE; there are: ${known}`);
  }
  return [setting.key, setting.read(rest.join('='))];
}

function age(text: string): number {
  const ms = parseAge(text);
  if (ms !== undefined) return ms;
  throw new UsageError(`grace takes an age such as 0s, 2h or 1d, not "${text}"`);
}

/** Milliseconds as they are written: 1d, 90m. */
function formatAge(ms: number): string {
  const units = [
    ['w', 604_800_000],
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
  ] as const;
  const unit = units.find(([, length]) => ms >= length && ms % length === 0);
  return unit === undefined ? `${ms / 1000}s` : `${ms / unit[1]}${unit[0]}`;
}
