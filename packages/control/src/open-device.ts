/** Opening what a reference means, for the first of its openers. */
import { StorageError } from '@palimpsest/block-device';
import * as engine from '@palimpsest/rw-snapshot';
import { find } from './catalog.js';
import type { StoreContext } from './context.js';
import { isRemoved } from './records.js';
import type { OpenedDevice } from './shared-exports.js';

/** @throws {StorageError} ERR_NOT_FOUND; ERR_IO when its volume is unavailable. */
export async function openDevice(context: StoreContext, reference: string): Promise<OpenedDevice> {
  const { environment, index, save } = context;
  const found = find(index, reference, environment.now());
  const { production } = await context.attached.attach(found.volume);
  const beneath: engine.Beneath = ({ snapshot }) => production.openSnapshot(snapshot);
  if (found.kind === 'volume') {
    if (isRemoved(found.volume)) {
      throw new StorageError(
        'ERR_NOT_FOUND',
        `${reference} was deleted and only waits for what depends on it; have it back: pal undo`,
      );
    }
    // It stays open with the store; only the openers' share ends.
    return { device: production.device, close: async () => {} };
  }
  if (found.kind === 'branch') {
    const branch = await engine.openBranch(save, found.branch.id, beneath);
    const { id } = found.branch;
    context.meter.opened(id, branch);
    const close = (): Promise<void> => branch.close().finally(() => context.meter.closed(id));
    return { device: branch.device, close };
  }
  const { id } = found.snapshot;
  const device =
    found.branch === undefined
      ? production.openSnapshot(id)
      : await engine.openBranchSnapshot(save, id, beneath);
  return { device, close: () => device.close() };
}
