/**
 * Operations: the body of a journal record taken apart.
 */
import { getU48, viewOf } from '@palimpsest/bytes';
import { ENTRY, NO_BYTES, OBJECT, PUT } from './format.js';

/** One operation, at byte `at` of the body. The same object is handed out for each. */
export interface Operation {
  kind: number;
  space: number;
  /** The block, or the object's id, or the number of blocks freed. */
  number: number;
  at: number;
  readonly view: DataView;
}

/** Each operation of a record in order; the bytes of objects are passed over. */
export function* operationsOf(body: Uint8Array): Generator<Operation> {
  const view = viewOf(body);
  const operation: Operation = { kind: 0, space: 0, number: 0, at: 0, view };
  for (let at = 0; at + ENTRY.size <= body.length; at += ENTRY.size) {
    operation.kind = view.getUint32(at + ENTRY.at.kind, true);
    operation.space = view.getUint32(at + ENTRY.at.space, true);
    operation.number = getU48(view, at + ENTRY.at.block);
    operation.at = at;
    yield operation;
    if (operation.kind === OBJECT) {
      const length = getU48(view, at + ENTRY.at.version);
      at += Math.ceil(length / ENTRY.size) * ENTRY.size;
    }
  }
}

/** Blocks that a record stored side by side, and where in the body the operations for them are. */
export interface DataRun {
  readonly address: number;
  readonly operations: number[];
}

/** The data that a record stored, in runs of at most `most` blocks. */
export function* dataRuns(body: Uint8Array, most: number): Generator<DataRun> {
  let run: DataRun | undefined;
  for (const { kind, at, view } of operationsOf(body)) {
    if (kind !== PUT || (view.getUint16(at + ENTRY.at.flags, true) & NO_BYTES) !== 0) continue;
    const address = getU48(view, at + ENTRY.at.address);
    const follows = run !== undefined && run.address + run.operations.length === address;
    if (run !== undefined && follows && run.operations.length < most) {
      run.operations.push(at);
      continue;
    }
    if (run !== undefined) yield run;
    run = { address, operations: [at] };
  }
  if (run !== undefined) yield run;
}
