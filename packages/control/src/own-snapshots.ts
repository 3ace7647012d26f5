/** OwnSnapshots: the snapshots of one volume or branch, in order and by name. */
import type { SnapshotRecord } from '@palimpsest/ro-snapshot';
import { ById } from '@palimpsest/save-volume';
import { isRemoved, snapshotAttributes } from './records.js';

/** See the file header. */
export class OwnSnapshots {
  readonly #all = new ById<SnapshotRecord>();
  readonly #shown = new ById<SnapshotRecord>();
  readonly #byName = new Map<string, SnapshotRecord>();

  /** Deleted ones too; oldest first. */
  get all(): readonly SnapshotRecord[] {
    return this.#all.list();
  }

  /** Those that are not deleted; oldest first. */
  get shown(): readonly SnapshotRecord[] {
    return this.#shown.list();
  }

  /** Of those that are not deleted. */
  get youngest(): SnapshotRecord | undefined {
    return this.#shown.last;
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  /** Deleted or not. */
  get(id: number): SnapshotRecord | undefined {
    return this.#all.get(id);
  }

  /** Unless it is deleted. */
  named(name: string): SnapshotRecord | undefined {
    return this.#byName.get(name);
  }

  put(record: SnapshotRecord): void {
    const { name } = snapshotAttributes(record);
    this.delete(record.id);
    this.#all.set(record);
    if (isRemoved(record)) return;
    this.#shown.set(record);
    this.#byName.set(name, record);
  }

  delete(id: number): void {
    const before = this.#shown.get(id);
    this.#all.delete(id);
    this.#shown.delete(id);
    if (before === undefined) return;
    const { name } = snapshotAttributes(before);
    if (this.#byName.get(name)?.id === id) this.#byName.delete(name);
  }
}
