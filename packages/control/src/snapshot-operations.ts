/** Snapshot and branch operations: create, delete. Checks come before the first change (C3). */
import { StorageError } from '@palimpsest/block-device';
import * as engine from '@palimpsest/rw-snapshot';
import { find, findBranch, findSnapshot, findVolume } from './catalog.js';
import { assertUnused, listed, type StoreContext } from './context.js';
import { branchInfos, snapshotInfos } from './listing.js';
import { assertName, generatedName, quote } from './names.js';
import { branchAttributes, snapshotAttributes, volumeAttributes } from './records.js';
import { branchReference, parseReference } from './references.js';
import type { OpenedDevice } from './shared-exports.js';
import type { BranchInfo, Removal, RemovalOptions, SnapshotInfo } from './store.js';

/** Characters of a snapshot's message: a paragraph. It is kept in the metadata, in memory. */
const LONGEST_MESSAGE = 1000;

/** See `Store.createSnapshot`. */
export async function createSnapshot(
  context: StoreContext,
  request: { readonly volume: string; readonly name?: string; readonly message?: string },
): Promise<SnapshotInfo> {
  const volume = findVolume(context.index, request.volume);
  const taken = new Set(volume.snapshots.map((each) => snapshotAttributes(each).name));
  const now = context.environment.now();
  const name = request.name ?? generatedName(now, (candidate) => taken.has(candidate));
  assertName('snapshot', name);
  assertMessage(request.message);
  if (taken.has(name)) {
    throw new StorageError(
      'ERR_EXISTS',
      `${request.volume} has a snapshot ${name} already; choose another name, or leave the name ` +
        `out to have one made: pal snapshot create ${request.volume}`,
    );
  }
  const { production } = await context.attached.attach(volume);
  const message = request.message === undefined ? {} : { message: request.message };
  await production.createSnapshot({ name, ...message, createdAt: now });
  context.index.changed();
  return one(snapshotInfos(context, [findVolume(context.index, request.volume)]), name);
}

/** See `Store.deleteSnapshot`. */
export async function deleteSnapshot(
  context: StoreContext,
  text: string,
  options: RemovalOptions,
): Promise<Removal> {
  const found = findSnapshot(context.index, text, context.environment.now());
  const { volume, snapshot, reference } = found;
  const { name } = volumeAttributes(volume);
  const based = context.index
    .branchesOf(volume)
    .filter((branch) => branch.base?.snapshot === snapshot.id)
    .map((branch) => branchReference(name, branchAttributes(branch).name));
  if (based.length > 0) {
    throw new StorageError(
      'ERR_IN_USE',
      `${reference} is the base of ${based.length} branch${based.length === 1 ? '' : 'es'}: ` +
        `${listed(based)}; delete them first: pal branch delete ${based[0]}`,
    );
  }
  assertUnused(context, [reference]);
  const removal = { removed: [reference], dryRun: options.dryRun === true };
  if (removal.dryRun) return removal;
  const { production } = await context.attached.attach(volume);
  await production.deleteSnapshot(snapshot.id, givingBack(options));
  return removal;
}

/** See `Store.createBranch`. */
export async function createBranch(
  context: StoreContext,
  request: { readonly name: string; readonly from: string },
): Promise<BranchInfo> {
  const base = findBase(context, request.from);
  const volumeName = volumeAttributes(base.volume).name;
  const name = branchName(request.name, volumeName);
  assertName('branch', name);
  if (context.index.branchNamed(base.volume, name) !== undefined) {
    throw new StorageError(
      'ERR_EXISTS',
      `${volumeName} has a branch ${name} already; choose another name, or see it: ` +
        `pal branch list ${volumeName}`,
    );
  }
  await engine.createBranch(
    context.save,
    { volume: base.volume.id, snapshot: base.snapshot.id },
    { name, createdAt: context.environment.now() },
  );
  context.index.changed();
  return one(branchInfos(context, [base.volume]), name);
}

/** See `Store.deleteBranch`. */
export async function deleteBranch(
  context: StoreContext,
  text: string,
  options: RemovalOptions,
): Promise<Removal> {
  const { branch, reference } = findBranch(context.index, text);
  assertUnused(context, [reference]);
  const removal = { removed: [reference], dryRun: options.dryRun === true };
  if (removal.dryRun) return removal;
  await engine.deleteBranch(context.save, branch.id, givingBack(options));
  return removal;
}

/** The engine's progress, a number of blocks, as the store tells it. */
function givingBack({ onProgress }: RemovalOptions): engine.BranchDeletionOptions {
  if (onProgress === undefined) return {};
  return {
    onProgress: (done, total) =>
      onProgress({ phase: 'giving space back', done, total, unit: 'items' }),
  };
}

/** Opens the device behind a reference, for the first of its openers. */
export async function openDevice(context: StoreContext, reference: string): Promise<OpenedDevice> {
  const found = find(context.index, reference, context.environment.now());
  const { production } = await context.attached.attach(found.volume);
  if (found.kind === 'volume') {
    // It stays open with the store; only the openers' share ends.
    return { device: production.device, close: async () => {} };
  }
  if (found.kind === 'snapshot') {
    const device = production.openSnapshot(found.snapshot.id);
    return { device, close: () => device.close() };
  }
  const branch = await engine.openBranch(context.save, found.branch.id, (base) =>
    production.openSnapshot(base.snapshot),
  );
  return { device: branch.device, close: () => branch.close() };
}

function findBase(context: StoreContext, from: string): ReturnType<typeof findSnapshot> {
  const reference = parseReference(from);
  if (reference.kind === 'volume') {
    findVolume(context.index, reference.volume);
    throw new StorageError(
      'ERR_INVALID',
      `a branch is made from a snapshot, and ${quote(from)} is a volume; write ${from}@latest, ` +
        `or take one first: pal snapshot create ${from}`,
    );
  }
  return findSnapshot(context.index, from, context.environment.now());
}

/** The branch's own name, when it is written with its volume. */
function branchName(name: string, volume: string): string {
  const slash = name.indexOf('/');
  if (slash < 0) return name;
  if (name.slice(0, slash) === volume) return name.slice(slash + 1);
  throw new StorageError(
    'ERR_INVALID',
    `${quote(name)} is not a branch of ${volume}, where the snapshot is; write ` +
      `${branchReference(volume, 'NAME')}, or only the name`,
  );
}

function assertMessage(message: string | undefined): void {
  if (message === undefined) return;
  if (message.length > LONGEST_MESSAGE) {
    throw new StorageError(
      'ERR_INVALID',
      `the message has ${message.length} characters; write at most ${LONGEST_MESSAGE}`,
    );
  }
  if (/\p{Cc}/u.test(message.replaceAll('\n', ''))) {
    throw new StorageError('ERR_INVALID', 'the message has a control character; write plain text');
  }
}

function one<T extends { readonly name: string }>(infos: readonly T[], name: string): T {
  const info = infos.find((each) => each.name === name);
  if (info === undefined) throw new StorageError('ERR_NOT_FOUND', `${name} went away`);
  return info;
}
