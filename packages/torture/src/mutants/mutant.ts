/**
 * What a seeded bug is: a patch of the source text, where `find` must be in the file exactly once, and the
 * check that must fail.
 */

/** What must notice a mutant. */
export type Check =
  /** The torture of some seeds. */
  | { readonly kind: 'torture' }
  /** A test file, or a folder of them, of a package. */
  | { readonly kind: 'test'; readonly folder: string; readonly filter?: string };

/** A bug and who must notice it. */
export interface Mutant {
  readonly name: string;
  /** The real bug that it stands for: a row of the table in docs/TESTING.md. */
  readonly row?: number;
  /** What is wrong with it, in words. */
  readonly bug: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  readonly check: Check;
}

/** The torture of some seeds. */
export const torture: Check = { kind: 'torture' };
/** The tests that damage what is stored. */
export const damage: Check = { kind: 'test', folder: 'packages/torture', filter: 'damage' };
