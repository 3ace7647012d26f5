/**
 * Replacing a content by another: what refresh, restore and undo share. With --dry-run what would
 * happen is told; with --force, which ends sessions, it is asked for.
 */
import type { StoreClient } from '@palimpsest/server/client';
import type { CommandContext } from '../command-context.js';
import { consent } from '../consent.js';

/** A replacement, written out. */
export interface Replacement {
  readonly target: string;
  readonly from: string;
  /** False when the state before is dropped. */
  readonly keeps: boolean;
}

/** Whether to go on: false when only a plan was asked for, or the answer was no. */
export async function mayReplace(
  context: CommandContext,
  client: StoreClient,
  asked: Replacement,
): Promise<boolean> {
  const { options, output } = context;
  const target = await client.resolve(asked.target);
  const from = await client.resolve(asked.from);
  const clients = (await client.listClients()).filter((each) => each.exportName === target);
  const peers = clients.map((each) => each.peer);
  if (options.dryRun === true) {
    const plan = { target, from, keeps: asked.keeps, clients: peers, dryRun: true };
    const kept = asked.keeps ? 'what it is now would be kept' : 'what it is now would be LOST';
    output.item('Plan', plan, `${target} would become ${from}; ${kept}`);
    if (peers.length > 0) output.say(`it is open to ${peers.join(', ')}: needs --force`);
    output.say('nothing was done');
    return false;
  }
  if (!asked.keeps) {
    return consent(
      context,
      `make ${target} ${from} and lose what it is now`,
      `Make ${target} ${from} and lose what it is now?`,
    );
  }
  if (options.force === true && peers.length > 0) {
    const ended = `end the sessions of ${peers.join(', ')}`;
    return consent(context, ended, `Make ${target} ${from} and ${ended}?`);
  }
  return true;
}
