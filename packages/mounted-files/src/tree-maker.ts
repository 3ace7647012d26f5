/** TreeMaker: what makes a tree of its parts, here or on this machine, and the one way to feed it. */
import type { CopyInfo, TreeData, TreeEntry, TreePart } from './file-types.js';

/** Takes the parts of a tree in their order. */
export interface TreeMaker {
  /** What was made so far. */
  readonly copied: CopyInfo;
  entry(entry: TreeEntry): Promise<void>;
  /** Bytes of the file that came last. */
  data(data: TreeData): Promise<void>;
  /** There are no more: what is open is closed, and every directory gets its attributes. */
  end(): Promise<void>;
  /** After a failure: a file that is not whole does not stay. */
  abandon(): Promise<void>;
}

/** Makes a tree. @throws what the parts or their making throw; what is not whole is abandoned */
export async function makeTree(
  maker: TreeMaker,
  parts: AsyncIterable<TreePart>,
): Promise<CopyInfo> {
  try {
    for await (const part of parts) {
      if (part.kind === 'entry') await maker.entry(part);
      else await maker.data(part);
    }
  } catch (error) {
    await maker.abandon();
    throw error;
  }
  await maker.end();
  return maker.copied;
}
