/** Steps that restore volumes, in the background, and go on with it. */
import type { Random } from '@palimpsest/block-device/testing';
import type { History } from '../history.js';
import type { Snapshot } from '../model/model.js';

export async function restore(_history: History, _random: Random): Promise<void> {}

export async function restoreFrom(
  _history: History,
  _volume: string,
  _source: Snapshot,
): Promise<void> {}

export async function copyBack(_history: History, _random: Random): Promise<void> {}

export async function copyBackSome(
  _history: History,
  _volume: string,
  _steps: number | undefined,
): Promise<void> {}
