/**
 * Tree: a copy of the sources into which bugs are put, one at a time. Packages see each other's
 * copies, and what is installed stays where it is.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mutant } from './mutant.js';

/** The sources themselves. */
export const ROOT: string = fileURLToPath(new URL('../../../..', import.meta.url));

/** Copies the tree; tells where to. */
export function copyTree(): string {
  const copy = fs.mkdtempSync(path.join(os.tmpdir(), 'palimpsest-mutants-'));
  // Settings, all of them: whatever a package's own refer to is there. What git keeps is none.
  for (const entry of fs.readdirSync(ROOT, { withFileTypes: true })) {
    const { name } = entry;
    if (entry.isFile() && !name.startsWith('.'))
      fs.copyFileSync(path.join(ROOT, name), path.join(copy, name));
  }
  fs.symlinkSync(path.join(ROOT, 'node_modules'), path.join(copy, 'node_modules'));
  fs.cpSync(path.join(ROOT, 'packages'), path.join(copy, 'packages'), {
    recursive: true,
    verbatimSymlinks: true, // links between packages are relative, and stay inside the copy
    filter: (file) => !['dist', '.turbo'].includes(path.basename(file)),
  });
  return copy;
}

/** The source of a mutant's file with the bug in it. @throws {Error} when the patch does not fit. */
export function mutated(tree: string, { name, file, find, replace }: Mutant): string {
  const source = fs.readFileSync(path.join(tree, file), 'utf8');
  const found = source.split(find).length - 1;
  if (found !== 1) throw new Error(`${name}: its text is ${found} times in ${file}, not once`);
  return source.replace(find, () => replace);
}

/** Does something to a tree that has the bug in it. */
export async function withBug<T>(tree: string, mutant: Mutant, work: () => Promise<T>): Promise<T> {
  const target = path.join(tree, mutant.file);
  const source = fs.readFileSync(target, 'utf8');
  fs.writeFileSync(target, mutated(tree, mutant));
  try {
    return await work();
  } finally {
    fs.writeFileSync(target, source);
  }
}
