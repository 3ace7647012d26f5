/** What was read of a store, compared with the model. */
import type { Model, Observation } from './model/model.js';
import type { Instant } from './model/register.js';

/** What a store must not do. */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

/** @throws {Violation} with the first thing that is wrong. */
export function compare(model: Model, seen: Observation, instant: Instant): void {
  for (const [name, ids] of seen.spaces) {
    if (model.branch(name) === undefined && !model.volumes.includes(name)) {
      throw new Violation(`${name} is there and was never made`);
    }
    demand(model.complain(name, ids, instant));
  }
  for (const name of model.volumes) {
    if (!seen.spaces.has(name)) throw new Violation(`volume ${name} is not there`);
  }
  assertPresence(model.branches(), seen.spaces, instant);
  assertPresence(model.snapshots(), seen.snapshots, instant);
  for (const [name, ids] of seen.snapshots) demand(model.complainOfSnapshot(name, ids));
  if (instant !== 'now') demand(model.complainOfHalves(seen));
}

/** @throws {Violation} with the complaint, if there is one. */
export function demand(complaint: string | undefined): void {
  if (complaint !== undefined) throw new Violation(complaint);
}

function assertPresence(
  things: readonly { readonly name: string; readonly presence: string }[],
  listed: ReadonlyMap<string, unknown>,
  instant: Instant,
): void {
  for (const { name, presence } of things) {
    if (presence === 'there' && !listed.has(name)) throw new Violation(`${name} is gone`);
    if (presence === 'gone' && listed.has(name)) throw new Violation(`${name} is back`);
    if (instant === 'now' && presence === 'coming' && listed.has(name)) {
      throw new Violation(`${name} is there before anyone was told`);
    }
  }
}
