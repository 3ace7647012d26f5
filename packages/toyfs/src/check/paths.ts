/**
 * Paths: names for the inodes that findings speak of. Names are read again only when there are any
 * findings, since a check of an image in order needs none.
 */
import { DIRECTORY_RECORD } from '../disk/directory-record.js';
import { ROOT_INO } from '../vfs.js';
import type { Checking } from './checking.js';
import type { Finding } from './finding.js';

const HEAD: number = DIRECTORY_RECORD.size;

/** Where a name of an inode is. */
interface Named {
  readonly parent: number;
  readonly name: string;
}

/** The findings, with the path of each inode that has one. */
export async function withPaths(checking: Checking): Promise<Finding[]> {
  const { list } = checking.findings;
  const wanted = new Set(list.flatMap(({ ino }) => (ino === undefined ? [] : [ino])));
  if (wanted.size === 0) return [...list];
  const names = await namesOf(checking, wanted);
  return list.map((finding) => {
    const path = finding.ino === undefined ? undefined : pathOf(names, finding.ino);
    return path === undefined ? finding : { ...finding, path };
  });
}

/** One name for each wanted inode and each directory. */
async function namesOf(
  { directories, inodes, source }: Checking,
  wanted: ReadonlySet<number>,
): Promise<Map<number, Named>> {
  const names = new Map<number, Named>();
  for (const { ino: parent, blocks } of directories) {
    for (const block of blocks) {
      if (block === 0) continue;
      const { bytes, view } = await source.read(block);
      for (let at = 0; at + HEAD <= bytes.length; ) {
        const ino = view.getUint32(at, true);
        const length = view.getUint16(at + 4, true);
        const end = at + HEAD + (bytes[at + 6] as number);
        if (length < HEAD || end > bytes.length) break;
        const name = Buffer.from(bytes.subarray(at + HEAD, end)).toString();
        const isOne = wanted.has(ino) || inodes.parent(ino) === parent;
        if (isOne && name !== '.' && name !== '..' && !names.has(ino)) {
          names.set(ino, { parent, name });
        }
        at += length;
      }
    }
  }
  return names;
}

/** The path of an inode; undefined when it does not lead up to the root. */
function pathOf(names: ReadonlyMap<number, Named>, ino: number): string | undefined {
  if (ino === ROOT_INO) return '/';
  let path = '';
  const seen = new Set<number>();
  for (let at = ino; at !== ROOT_INO; ) {
    const named = names.get(at);
    if (named === undefined || seen.has(at)) return undefined;
    seen.add(at);
    path = `/${named.name}${path}`;
    at = named.parent;
  }
  return path;
}
