/**
 * Goal: the repository keeps the rules of docs/STYLE.md that no linter knows. Method: run each
 * check of tidy.mjs over the files git knows; a planted fault first shows that the check sees it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryFiles } from './lib/source.mjs';
import {
  avoidedWords,
  bannedNames,
  changesetFaults,
  functions,
  lengths,
  machinePaths,
  markdownFaults,
  missingDocuments,
  missingHeader,
  undefinedInvariants,
} from './tidy.mjs';

const ROOT = join(import.meta.dirname, '..');
const TEXT = /\.(?:ts|mjs|js|json|jsonc|md|sh|py|yaml|yml|html|css)$|^\.ci\/|^LICENSE$/;
const files = new Map(
  repositoryFiles(ROOT).map((file) => [
    file,
    TEXT.test(file) ? readFileSync(join(ROOT, file), 'utf8') : '',
  ]),
);
const sources = [...files].map(([file, text]) => ({ file, text }));
const words = avoidedWords(files.get('docs/GLOSSARY.md') ?? '');
const packages = [...files.keys()]
  .filter((file) => /^(?:packages|apps)\/[^/]+\/package\.json$/.test(file))
  .map((file) => ({ file, ...JSON.parse(files.get(file) ?? '') }));

describe('the repository', () => {
  test('every file that ships says what it is', () => {
    expect(sources.flatMap(missingHeader)).toEqual([]);
  });

  test('no banned name, no leftover, no avoided word', () => {
    expect(sources.flatMap((source) => bannedNames(source, words))).toEqual([]);
  });

  test('no path of one machine', () => {
    expect(sources.flatMap(machinePaths)).toEqual([]);
  });

  test('documents have one title and links that lead somewhere', () => {
    expect(sources.flatMap((source) => markdownFaults(source, files))).toEqual([]);
    expect(sources.flatMap((source) => missingDocuments(source, files))).toEqual([]);
  });

  test('every invariant that is cited is defined', () => {
    expect(undefinedInvariants(sources)).toEqual([]);
  });

  test('every public package has a README, a licence field and a changeset or a version', () => {
    const changesets = sources.filter(
      ({ file }) => /^\.changeset\/.+\.md$/.test(file) && !file.endsWith('README.md'),
    );
    const bare = packages.flatMap(({ file, license }) => [
      ...(files.has(file.replace('package.json', 'README.md')) ? [] : [`${file}: no README.md`]),
      ...(license === 'Apache-2.0' ? [] : [`${file}: license is not Apache-2.0`]),
    ]);
    expect([...bare, ...changesetFaults(packages, changesets)]).toEqual([]);
  });

  test('lengths do not grow', () => {
    const ratchet = JSON.parse(readFileSync(join(ROOT, 'scripts/tidy-ratchet.json'), 'utf8'));
    const found = sources.map(lengths);
    for (const kind of ['lines', 'functions', 'files'] as const) {
      const all = found.flatMap((each) => each[kind]);
      expect(all.length, `${kind} over the mark:\n${all.join('\n')}\n`).toBeLessThanOrEqual(
        ratchet[kind],
      );
    }
  });

  test('scripts named in package.json files exist', () => {
    const missing = [...files].flatMap(([file, text]) => {
      if (!file.endsWith('package.json')) return [];
      const commands = Object.values(JSON.parse(text).scripts ?? {}) as string[];
      return commands
        .flatMap((command) => [...command.matchAll(/(?:node|bash|tsx) ([\w./-]+\.(?:mjs|sh|ts))/g)])
        .map((match) => join(file, '..', match[1] ?? ''))
        .filter((path) => !existsSync(join(ROOT, path)))
        .map((path) => `${file} runs ${path}, which is not there`);
    });
    expect(missing).toEqual([]);
  });
});

describe('the checks see what is planted', () => {
  const file = 'packages/x/src/thing.ts';
  const header = '/** A thing, and what it is for. */\n';

  test('headers', () => {
    expect(missingHeader({ file, text: 'export const a = 1;\n' })).toHaveLength(1);
    expect(missingHeader({ file, text: header })).toEqual([]);
    expect(missingHeader({ file: 'packages/x/src/thing.test.ts', text: '' })).toEqual([]);
  });

  test('names, with their replacement', () => {
    const text = `${header}class BaseThing {}\n// ${'TO'}DO later\ntry { a() } catch (e) {}\n`;
    const found = bannedNames({ file, text }, [{ word: 'blob', instead: 'block' }]);
    expect(found.map((each) => each.split(' ')[0])).toEqual([
      `${file}:3`,
      `${file}:2`,
      `${file}:4`,
    ]);
    expect(
      bannedNames({ file, text: '// a Blob\n' }, [{ word: 'blob', instead: 'block' }]),
    ).toEqual([`${file}:1 Blob: write block`]);
    expect(bannedNames({ file: 'packages/x/src/utils.ts', text: header }, [])).toHaveLength(1);
    const reasoned = 'try { a() } catch {\n  // gone already\n}\n';
    expect(bannedNames({ file, text: reasoned }, [])).toEqual([]);
  });

  test('machine paths', () => {
    expect(machinePaths({ file: 'docs/x.md', text: 'see /ro' + 'ot/disk.img' })).toHaveLength(1);
    expect(machinePaths({ file: 'docs/x.md', text: 'see ~/root/disk and dist/work/x' })).toEqual(
      [],
    );
  });

  test('titles and links', () => {
    const all = new Map([
      ['docs/a.md', '# A\n\n## Two words\n'],
      ['docs/b.md', ''],
    ]);
    const text =
      '# B\n[a](a.md#two-words) [b](c.md) [c](a.md#three)\n```sh\n# not a title\n```\n# C\n';
    expect(markdownFaults({ file: 'docs/b.md', text }, all)).toHaveLength(3);
  });

  test('documents that are not there', () => {
    const all = new Map([['docs/A.md', '']]);
    const text = '// see LAYOUT.md\n';
    expect(missingDocuments({ file, text }, all)).toEqual([
      `${file}:1 names LAYOUT.md, which is not there`,
    ]);
  });

  test('invariants', () => {
    const defining = { file, text: '/**\n *   Q1  It holds.\n *   Q2  And this.\n */\n' };
    const citing = { file: 'packages/x/src/other.ts', text: "// Q2 and Q3\nconst s = 'Q4';\n" };
    expect(undefinedInvariants([defining, citing])).toEqual([
      'packages/x/src/other.ts:1 cites Q3, defined nowhere',
    ]);
  });

  test('long functions, without the blocks inside them', () => {
    const body = '  a();\n'.repeat(80);
    const text = `if (x) {\n${body}}\nfunction f(a: (b: string) => void): Promise<void> {\n${body}}\n`;
    expect(functions(text).filter(({ length }) => length > 70)).toEqual([{ line: 83, length: 82 }]);
  });

  test('changesets', () => {
    const known = [
      { name: '@palimpsest/a', version: '0.0.0' },
      { name: '@palimpsest/b', version: '0.0.0' },
      { name: '@palimpsest/c', version: '0.1.0' },
    ];
    const text = '---\n"@palimpsest/a": minor\n"@palimpsest/z": minor\n---\n\nNew.\n';
    const found = changesetFaults(known, [{ file: '.changeset/x.md', text }]);
    expect(found.join('\n')).toMatch(
      /@palimpsest\/z, no public package[\s\S]*@palimpsest\/b has neither/,
    );
    expect(found).toHaveLength(2);
  });
});
