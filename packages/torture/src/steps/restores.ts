/** Steps that restore volumes, in the background, and go on with it. */
import type { Random } from '@palimpsest/block-device/testing';
import type { History } from '../history.js';

export async function restore(_history: History, _random: Random): Promise<void> {}

export async function copyBack(_history: History, _random: Random): Promise<void> {}
