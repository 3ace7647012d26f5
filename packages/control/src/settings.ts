/**
 * Settings of a store, kept in it: what happens when it is full, how long deleted things can be had
 * back, how far it may grow.
 */
import { StorageError } from '@palimpsest/block-device';
import {
  encodeObject,
  type SaveVolume,
  type StoredObject,
  storedObjects,
} from '@palimpsest/save-volume';

/** See `DEFAULT_SETTINGS` for what holds without a word. */
export interface StoreSettings {
  /** What a save volume that cannot grow does with a write that needs space (I8). */
  readonly fullPolicy: 'fail-writes' | 'drop-oldest';
  /** How long what was deleted can be had back, unless its space is needed. Milliseconds. */
  readonly graceMs: number;
  /** Bytes that the save volume may grow to; `null` is as far as its disk goes. */
  readonly maximumBytes: number | null;
  /** Percent of the space that it may have at which an event says so. */
  readonly highWaterPercent: number;
}

/**
 * `fail-writes`, since a snapshot that vanishes is worse than a write that fails. A day of grace: an
 * accident is noticed within it, and space that is needed is taken back earlier.
 */
export const DEFAULT_SETTINGS: StoreSettings = {
  fullPolicy: 'fail-writes',
  graceMs: 86_400_000,
  maximumBytes: null,
  highWaterPercent: 90,
};

interface StoredSettings extends StoredObject {
  readonly type: 'settings';
}

/** The settings as they are now. */
export function readSettings(save: SaveVolume): StoreSettings {
  const [stored] = storedObjects<StoredSettings>(save, 'settings');
  return { ...DEFAULT_SETTINGS, ...(stored?.object.attributes as Partial<StoreSettings>) };
}

/**
 * Changes some settings. Durable when it resolves.
 * @throws {StorageError} ERR_INVALID with what a setting may be.
 */
export async function changeSettings(
  save: SaveVolume,
  changes: Partial<StoreSettings>,
): Promise<StoreSettings> {
  for (const [name, value] of Object.entries(changes)) assertSetting(name, value);
  await save.transact((batch) => {
    const [stored] = storedObjects<StoredSettings>(save, 'settings', batch);
    const attributes = { ...stored?.object.attributes, ...changes };
    batch.object(stored?.id ?? save.newObjectId(), encodeObject({ type: 'settings', attributes }));
  });
  return readSettings(save);
}

const RULES: Readonly<
  Record<keyof StoreSettings, { readonly is: string; fits(value: unknown): boolean }>
> = {
  fullPolicy: {
    is: '"fail-writes" or "drop-oldest"',
    fits: (value) => value === 'fail-writes' || value === 'drop-oldest',
  },
  graceMs: { is: 'milliseconds, 0 or more', fits: (value) => isWhole(value) },
  maximumBytes: {
    is: 'bytes, or null for no limit',
    fits: (value) => value === null || (isWhole(value) && value !== 0),
  },
  highWaterPercent: {
    is: 'percent, 1 to 100',
    fits: (value) => isWhole(value) && (value as number) >= 1 && (value as number) <= 100,
  },
};

function assertSetting(name: string, value: unknown): void {
  const rule = RULES[name as keyof StoreSettings];
  if (rule === undefined) {
    const known = Object.keys(RULES).join(', ');
    throw new StorageError('ERR_INVALID', `there is no setting ${name}; there are: ${known}`);
  }
  if (rule.fits(value)) return;
  throw new StorageError('ERR_INVALID', `the setting ${name} is ${rule.is}, not ${String(value)}`);
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
