/**
 * Goal: the layer check sees what it must see, and only that. Method: plant each kind of violation
 * in a small tree of its own and look for the line; then run it on this repository.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { layerViolations } from './layers.mjs';
import { blanked } from './lib/source.mjs';

const planted: string[] = [];
afterEach(() => {
  for (const root of planted.splice(0)) rmSync(root, { recursive: true, force: true });
});

/** A tree with one package: its manifest's dependencies and its files. */
function plant(
  name: string,
  files: Record<string, string>,
  dependencies: Record<string, string> = {},
  devDependencies: Record<string, string> = {},
): string[] {
  const root = mkdtempSync(join(tmpdir(), 'palimpsest-layers-'));
  planted.push(root);
  const manifest = { name: `@palimpsest/${name}`, dependencies, devDependencies };
  const all = { 'package.json': JSON.stringify(manifest, null, 2), ...files };
  for (const [file, text] of Object.entries(all)) {
    const path = join(root, 'packages', name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return layerViolations(root);
}

const workspace = (...names: string[]) =>
  Object.fromEntries(names.map((name) => [`@palimpsest/${name}`, 'workspace:^']));

describe('a planted violation is named with its file and line', () => {
  const cases: [string, RegExp, () => string[]][] = [
    [
      'a lower layer imports an upper one',
      /src\/index\.ts:2 imports @palimpsest\/rw-snapshot: .*\(L1\)/,
      () =>
        plant(
          'save-volume',
          { 'src/index.ts': "\nimport { openBranch } from '@palimpsest/rw-snapshot';\n" },
          {},
          workspace('rw-snapshot'),
        ),
    ],
    [
      'package.json depends upwards',
      /package\.json:4 depends on @palimpsest\/control: .*\(L1\)/,
      () => plant('bytes', {}, workspace('control')),
    ],
    [
      'storage imports a device adapter',
      /src\/a\.ts:1 imports @palimpsest\/block-device-file: the storage column/,
      () =>
        plant(
          'control',
          { 'src/a.ts': "export { openFile } from '@palimpsest/block-device-file';\n" },
          {},
          workspace('block-device-file'),
        ),
    ],
    [
      'access imports storage',
      /src\/a\.ts:3 imports @palimpsest\/ro-snapshot: the access column/,
      () =>
        plant(
          'nbd',
          { 'src/a.ts': "import type {\n  SnapshotRecord,\n} from '@palimpsest/ro-snapshot';\n" },
          {},
          workspace('ro-snapshot'),
        ),
    ],
    [
      'an undeclared import of the workspace',
      /src\/a\.ts:1 imports @palimpsest\/bytes, which package\.json does not declare \(L2\)/,
      () => plant('save-volume', { 'src/a.ts': "import { crc32c } from '@palimpsest/bytes';\n" }),
    ],
    [
      'shipped code imports a test suite of another package',
      /src\/a\.ts:1 imports @palimpsest\/block-device\/testing: .*\(L3\)/,
      () =>
        plant(
          'nbd',
          { 'src/a.ts': "await import('@palimpsest/block-device/testing');\n" },
          workspace('block-device'),
        ),
    ],
    [
      'shipped code imports its own test suite',
      /src\/a\.ts:1 imports \.\/testing\/index\.js: .*\(L3\)/,
      () => plant('bytes', { 'src/a.ts': "import './testing/index.js';\n" }),
    ],
    [
      'a core package with a third-party dependency',
      /package\.json:4 depends on zod: .*\(L4\)/,
      () => plant('nbd', {}, { zod: '4.6.7' }),
    ],
    [
      'the clock',
      /src\/a\.ts:2 uses Date\.now: .*\(L5\)/,
      () => plant('ro-snapshot', { 'src/a.ts': '// Date.now() in words\nconst t = Date.now();\n' }),
    ],
    [
      'chance',
      /uses Math\.random/,
      () => plant('bytes', { 'src/a.ts': 'export const id = (): number => Math.random();\n' }),
    ],
    [
      'a timer',
      /uses setTimeout/,
      () => plant('control', { 'src/a.ts': 'setTimeout(() => {}, 1);\n' }),
    ],
    [
      'the process',
      /uses process/,
      () => plant('control', { 'src/a.ts': 'export const d = process.env.DEBUG;\n' }),
    ],
    [
      'files',
      /imports node:fs\/promises: .*\(L5\)/,
      () => plant('save-volume', { 'src/a.ts': "import { open } from 'node:fs/promises';\n" }),
    ],
    [
      'sockets',
      /imports node:net: .*\(L5\)/,
      () => plant('nbd', { 'src/a.ts': "import type { Socket } from 'node:net';\n" }),
    ],
    [
      'a package without a place',
      /packages\/newcomer\/package\.json:1 has no place/,
      () => plant('newcomer', {}),
    ],
  ];
  test.each(cases)('%s', (_name, expected, run) => {
    const found = run();
    expect(found.join('\n')).toMatch(expected);
    expect(found).toHaveLength(1);
  });
});

describe('what is allowed passes', () => {
  test('downward imports, pure modules, a stream for nbd, and effects in a test', () => {
    expect(
      plant(
        'nbd',
        {
          'src/a.ts':
            "import { crc32 } from 'node:zlib';\nimport type { Duplex } from 'node:stream';\n" +
            "import { checked } from '@palimpsest/block-device';\n" +
            "const example = `import x from '@palimpsest/cli'; ${crc32('')} Date.now()`;\n",
          'src/a.test.ts':
            "import { createFile } from '@palimpsest/block-device-file';\nDate.now();\n",
        },
        workspace('block-device'),
        workspace('block-device-file'),
      ),
    ).toEqual([]);
  });

  test('this repository', () => {
    expect(layerViolations(join(import.meta.dirname, '..'))).toEqual([]);
  });
});

test('blanking keeps code, lines and columns', () => {
  const source = "a('x // y'); // c\n/* d\n */ b(/['\"]/.test(`t${c('`')}u`)); e = f / g / h;";
  const code = blanked(source, { strings: true });
  expect(code).toHaveLength(source.length);
  expect(code.split('\n')).toHaveLength(source.split('\n').length);
  expect(code.replaceAll(/\s+/g, ' ')).toBe("a(' '); b(/ /.test(` ${c(' ')} `)); e = f / g / h;");
});
