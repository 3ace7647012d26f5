/**
 * What happens to a store, as the model is told: what was asked for, and what was answered.
 */

/**
 * How an operation ended. `weak`: a discard that left everything as it was. `unknown`: with an
 * error after which nobody knows (B4 does not hold).
 */
export type Result = 'done' | 'refused' | 'weak' | 'unknown';

/** Something asked for; those with the same number in `together` happen at once or not (B6). */
export type Asked = { readonly together?: number } & (
  | {
      readonly kind: 'write';
      readonly space: string;
      readonly first: number;
      readonly count: number;
      /** 0 writes zeros. */
      readonly id: number;
    }
  | { readonly kind: 'flush'; readonly spaces: readonly string[] }
  | { readonly kind: 'grow'; readonly space: string /** Sectors. */; readonly length: number }
  | {
      /** A restore or a refresh: from then on `space` holds `content`, that of the snapshot `source`. */
      readonly kind: 'swap';
      readonly space: string;
      readonly source: string;
      readonly content: Int32Array;
    }
  | { readonly kind: 'flatten'; readonly branch: string }
  | { readonly kind: 'limit'; readonly branch: string }
  | {
      readonly kind: 'create-snapshot';
      readonly name: string;
      readonly space: string;
      /** Filled in by who read it; the same object is replayed later. */
      content?: Int32Array;
    }
  | { readonly kind: 'create-branch'; readonly name: string; readonly snapshot: string }
  | { readonly kind: 'delete-snapshot' | 'delete-branch'; readonly name: string }
);

/** What happens to a store. `key` of an answer is the event that asked. */
export type ModelEvent =
  | Asked
  | {
      readonly kind: 'answer';
      readonly key: Asked;
      readonly result: Result;
      readonly together?: undefined;
    };
