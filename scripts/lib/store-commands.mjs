/**
 * Commands to a store in mid-traffic, with what they do to the model. Each may be cut off by a kill:
 * then the names that are there after the restart tell whether it happened (M7 of lib/store-model.mjs).
 */
import { control, pal } from './daemon.mjs';
import { PRODUCTION } from './store-model.mjs';

/**
 * @typedef {object} Command
 * @property {string} what For a finding.
 * @property {(cycle: object) => Promise<void>} run
 * @property {(seen: { there: Set<string>, unexpected: string[] }) => boolean} happened
 * @property {() => void} settle Takes over into the model that it happened.
 * @property {string} [replaces] The export whose clients it ends.
 * @property {number} [refusal] A status code that says it did not happen, and had no need to.
 */

/**
 * Runs a command. Unanswered, both outcomes are allowed (M7).
 * @param {import('./store-model.mjs').StoreModel} model
 * @param {Command} command
 * @param {ReturnType<typeof import('./verified-load.mjs').newCycle>} cycle
 */
export async function runCommand(model, command, cycle) {
  const { replaces } = command;
  model.unsettled.push(command);
  if (replaces !== undefined) cycle.replacing.add(replaces);
  try {
    await command.run(cycle);
    // Answered, so it holds from now on, even when the daemon is dead already.
    command.settle();
  } catch (error) {
    const isRefusal = command.refusal !== undefined && error.statusCode === command.refusal;
    if (!isRefusal && cycle.over) return;
    if (!isRefusal) throw error;
  }
  model.unsettled.splice(model.unsettled.indexOf(command), 1);
  if (replaces !== undefined) cycle.replacing.delete(replaces);
}

/** @returns {Command} */
export function createSnapshot(model, of = PRODUCTION) {
  const name = `${of}@s${model.newNumber()}`;
  const { base } = model.devices.get(of);
  const before = model.instantOf(of);
  const snapshot = { before, base, told: 'by the API, unanswered' };
  return {
    what: `create ${name}`,
    // Now and then by the command line. When the daemon dies before it is asked, the command opens the
    // store itself: then the snapshot is of what survived, not of what was visible.
    run: async (cycle) => {
      if (of !== PRODUCTION || !model.rng.chance(0.1)) {
        await control.createSnapshot(model.store, name);
        snapshot.told = `by the API, answered ${cycle.over ? 'after' : 'before'} the kill`;
        return;
      }
      snapshot.told = 'by the command line';
      await pal(model.store, 'snapshot', 'create', name);
      if (cycle.over) before.afterCrash = true;
    },
    happened: ({ there }) => there.has(name),
    settle: () => {
      model.snapshots.set(name, snapshot);
      model.done.snapshots += 1;
    },
  };
}

/** @returns {Command} A branch of a snapshot that is known. */
export function createBranch(model, base) {
  const name = `${PRODUCTION}/b${model.newNumber()}`;
  const device = model.newDevice(name, model.snapshots.get(base).content);
  device.base = base;
  return {
    what: `create ${name} of ${base}`,
    run: () => control.createBranch(model.store, name, base),
    happened: ({ there }) => there.has(name),
    settle: () => {
      model.devices.set(name, device);
      model.done.branches += 1;
    },
  };
}

/** @returns {Command} */
export function deleteSnapshot(model, name) {
  return {
    what: `delete ${name}`,
    run: () => control.deleteSnapshot(model.store, name),
    happened: ({ there }) => !there.has(name),
    settle: () => {
      model.snapshots.delete(name);
      model.done.deletes += 1;
    },
  };
}

/** @returns {Command} Its snapshots go with it. */
export function deleteBranch(model, name) {
  return {
    what: `delete ${name}`,
    run: () => control.deleteBranch(model.store, name),
    happened: ({ there }) => !there.has(name),
    settle: () => {
      model.devices.delete(name);
      for (const each of [...model.snapshots.keys()]) {
        if (each.startsWith(`${name}@`)) model.snapshots.delete(each);
      }
      model.done.deletes += 1;
    },
  };
}

/** @returns {Command} Production becomes the snapshot `from`, whose content is known. */
export function restore(model, from, how = {}) {
  return replacement(model, PRODUCTION, from, 'restores', async () => {
    return (await control.restore(model.store, PRODUCTION, from, how)).undo;
  });
}

/** @returns {Command} Production becomes what it was before the topmost restore, `top`. */
export function cancelRestore(model, top) {
  const command = replacement(model, PRODUCTION, top.undo, 'cancels', async () => {
    return (await control.cancelRestore(model.store, PRODUCTION)).undo;
  });
  // Its copy-back may have ended meanwhile.
  return { ...command, refusal: 404 };
}

/** @returns {Command} A branch becomes a snapshot whose content is known. */
export function refreshBranch(model, name, from) {
  return replacement(model, name, from, 'refreshes', async () => {
    return (await control.refreshBranch(model.store, name, from)).kept;
  });
}

/** What was is kept as a snapshot, of a name that the product chooses. */
function replacement(model, name, from, counter, ask) {
  const { base } = model.devices.get(name);
  const snapshot = { before: model.instantOf(name), base, told: `before ${from} replaced it` };
  const { content } = model.snapshots.get(from);
  const prefix = `${name}@${name.split('/').at(-1)}-before-`;
  let kept;
  return {
    what: `replace ${name} by ${from}`,
    replaces: name,
    run: async () => {
      kept = await ask();
    },
    happened: ({ unexpected }) => {
      kept = unexpected.find((each) => each.startsWith(prefix));
      return kept !== undefined;
    },
    settle: () => {
      model.snapshots.set(kept, snapshot);
      const device = model.newDevice(name, content);
      if (name === PRODUCTION) model.restoring.add(from).add(kept);
      else device.base = from;
      model.devices.set(name, device);
      model.done[counter] += 1;
    },
  };
}

/** Snapshots that nothing stands on. */
export function freeSnapshots(model) {
  const needed = model.needed();
  return [...model.snapshots.keys()].filter((name) => !needed.has(name));
}

/** Branches that nothing else stands on. */
export function freeBranches(model) {
  return [...model.devices.keys()].filter((name) => {
    if (name === PRODUCTION) return false;
    return ![...model.needed(name)].some((each) => each.startsWith(`${name}@`));
  });
}
