/**
 * Tidy: what a formatter and a linter cannot see, as plain functions from sources to findings (a
 * finding is `file:line message`). scripts/tidy.test.ts runs them on this repository. The rules and
 * their reasons are in docs/STYLE.md; the words are in docs/GLOSSARY.md, whose table of words to
 * avoid is read here.
 *
 *   T1  A finding names the place and what to write instead.
 *   T2  Length is asked about, not forbidden: counts may fall, never grow (scripts/tidy-ratchet.json).
 */
import { dirname, join, normalize } from 'node:path';
import { blanked, lineOf } from './lib/source.mjs';

/** @typedef {{ file: string, text: string }} Source */

/** Longest line (Biome breaks code at 100, comments may lean over), function and file without a reason. */
const COLUMNS = 110;
const FUNCTION_LINES = 70;
const FILE_LINES = 300;

export const isTest = (file) => /\.(?:test|fuzz|bench)\.ts$|\/test\//.test(file);
const isShippedCode = (file) =>
  /^(?:packages|apps)\/[^/]+\/src\/.*\.ts$/.test(file) && !isTest(file);

/**
 * Code that ships opens with a comment that says what the file is.
 * @param {Source} source
 * @returns {string[]}
 */
export function missingHeader({ file, text }) {
  const needs =
    isShippedCode(file) ||
    /^(?:scripts|examples|benchmarks)\/.*\.(?:mjs|ts|sh)$/.test(file) ||
    /^\.ci\/run$/.test(file);
  if (!needs || /vitest\.config\.ts$/.test(file)) return [];
  const opens = /^(?:#![^\n]*\n)?(?:\/\*\*[\s\S]{20,}?\*\/|(?:#[^\n]{20,}))/.test(text);
  return opens ? [] : [`${file}:1 opens without a comment that says what it is`];
}

/** Names that hide what a thing does. */
const BANNED = [
  { pattern: /\b(?:FIXME|XXX|TODO|HACK)\b/g, comments: true, instead: 'do it, or write an issue' },
  { pattern: /\bclass\s+(?:Base|Abstract)[A-Z]\w*/g, instead: 'an interface and a function' },
  {
    pattern: /\bclass\s+\w+(?:Manager|Util)s?\b/g,
    instead: 'a name that says what it does',
  },
  { pattern: /\bexport\s*\*\s*from\b/g, instead: 're-export by name' },
  { pattern: /\bexport\s+default\b/g, instead: 'a named export' },
  { pattern: /\bcatch\s*(?:\([^)]*\)\s*)?\{\s*\}/g, instead: 'handle it, or let it through' },
  { pattern: /\bconst\s+enum\b|\benum\s+[A-Z]/g, instead: 'a union of literals' },
];

/**
 * Names, leftovers and words that have a replacement.
 * @param {Source} source
 * @param {readonly { word: string, instead: string }[]} words
 * @returns {string[]}
 */
export function bannedNames({ file, text }, words) {
  if (!/^(?:packages|apps|scripts|examples|benchmarks)\/.*\.(?:ts|mjs)$/.test(file)) return [];
  const found = [];
  if (/(?:^|\/)(?:utils?|helpers?|misc|common)\.ts$/.test(file)) {
    found.push(`${file}:1 is named after nothing: name it like its main export`);
  }
  if (file.startsWith('scripts/tidy')) return found;
  const code = blanked(text, { strings: true });
  for (const { pattern, comments, instead } of BANNED) {
    if (/config\.(?:ts|mjs)$/.test(file) && pattern.source.includes('default')) continue;
    for (const match of (comments === true ? text : code).matchAll(pattern)) {
      // `code` has no comments, so a catch with only a reason inside looks empty in it.
      if (text.slice(match.index, match.index + match[0].length).includes('//')) continue;
      found.push(`${file}:${lineOf(text, match.index)} ${match[0].trim()}: ${instead}`);
    }
  }
  for (const { word, instead } of words) {
    for (const match of text.matchAll(new RegExp(`\\b${word}\\b`, 'gi'))) {
      found.push(`${file}:${lineOf(text, match.index)} ${match[0]}: write ${instead}`);
    }
  }
  return found;
}

/**
 * The table "Words we avoid" of the glossary: first column the word, second what to write.
 * @param {string} glossary
 */
export function avoidedWords(glossary) {
  const section = glossary.split(/^## /m).find((each) => /^Words we avoid/i.test(each)) ?? '';
  return [...section.matchAll(/^\|\s*`([^`]+)`\s*\|\s*([^|]+?)\s*\|/gm)].map((row) => ({
    word: row[1] ?? '',
    instead: row[2] ?? '',
  }));
}

/**
 * Paths of one machine in a file meant for all.
 * @param {Source} source
 * @returns {string[]}
 */
export function machinePaths({ file, text }) {
  if (file === 'pnpm-lock.yaml' || file.startsWith('scripts/tidy')) return [];
  return [...text.matchAll(/(?<![\w.~-])\/(?:work|root|home\/\w+|Users\/\w+)\/[\w.-]+/g)].map(
    (match) => `${file}:${lineOf(text, match.index)} ${match[0]} is a path of one machine`,
  );
}

/**
 * Long lines, long functions and long files of code that ships; the ratchet counts them (T2).
 * @param {Source} source
 */
export function lengths({ file, text }) {
  const found = { lines: [], functions: [], files: [] };
  if (!isShippedCode(file)) return found;
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    if (line.length > COLUMNS) found.lines.push(`${file}:${index + 1} ${line.length} columns`);
  });
  if (lines.length - 1 > FILE_LINES) found.files.push(`${file}:1 ${lines.length - 1} lines`);
  for (const { line, length } of functions(text)) {
    if (length > FUNCTION_LINES)
      found.functions.push(`${file}:${line} a function of ${length} lines`);
  }
  return found;
}

/** The functions of a source with a body in braces: where each opens and how many lines it has. */
export function functions(text) {
  const code = blanked(text, { strings: true });
  const open = [];
  const found = [];
  for (let i = 0; i < code.length; i++) {
    if (code[i] === '{') {
      const before = code.slice(Math.max(0, i - 300), i);
      const opens =
        /=>\s*$/.test(before) ||
        (/\)\s*(?::[^;{}=]*)?$/.test(before) &&
          !/\b(?:if|for|while|switch|catch|with|await)\s*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\s*$/.test(
            before,
          ));
      open.push({ at: i, opens });
    } else if (code[i] === '}') {
      const start = open.pop();
      if (start?.opens !== true) continue;
      const line = lineOf(code, start.at);
      found.push({ line, length: lineOf(code, i) - line + 1 });
    }
  }
  return found;
}

/**
 * Markdown: exactly one title, and relative links that lead to a file (and to a heading of it).
 * @param {Source} source
 * @param {ReadonlyMap<string, string>} files Every file of the repository with its text.
 * @returns {string[]}
 */
export function markdownFaults({ file, text }, files) {
  if (!file.endsWith('.md') || file.startsWith('.changeset/')) return [];
  const found = [];
  const prose = text.replaceAll(/^(```+|~~~+)[\s\S]*?^\1\s*$/gm, (block) =>
    block.replaceAll(/[^\n]/g, ' '),
  );
  const titles = [...prose.matchAll(/^# .+$/gm)];
  if (titles.length !== 1 && !file.endsWith('CHANGELOG.md')) {
    found.push(`${file}:1 has ${titles.length} titles (lines with one #): a document has one`);
  }
  const spoken = prose.replaceAll(/`[^`\n]*`/g, (span) => ' '.repeat(span.length));
  for (const match of spoken.matchAll(/\]\(([^()\s]+)\)/g)) {
    const target = match[1] ?? '';
    if (/^[a-z][a-z+]*:/i.test(target)) continue;
    const [path = '', anchor] = target.split('#');
    const at = path === '' ? file : normalize(join(dirname(file), path)).replace(/\/$/, '');
    const isFolder = [...files.keys()].some((each) => each.startsWith(`${at}/`));
    const line = lineOf(text, match.index);
    if (!files.has(at) && !isFolder)
      found.push(`${file}:${line} links to ${at}, which is not there`);
    else if (
      anchor !== undefined &&
      at.endsWith('.md') &&
      !anchors(files.get(at) ?? '').has(anchor)
    ) {
      found.push(`${file}:${line} links to #${anchor}, which ${at} does not have`);
    }
  }
  return found;
}

/**
 * Documents named in sources or documents (FORMAT.md, docs/CLI.md) that the repository does not have.
 * @param {Source} source
 * @param {ReadonlyMap<string, string>} files
 * @returns {string[]}
 */
export function missingDocuments({ file, text }, files) {
  if (!/\.(?:ts|mjs|md|sh|json)$|^\.ci\//.test(file) || file.startsWith('scripts/tidy')) return [];
  const names = new Set([...files.keys()].map((each) => each.split('/').at(-1)));
  names.add('CHANGELOG.md'); // comes with the first release
  return [...text.matchAll(/\b[A-Z][A-Z-]{2,}\.md\b/g)]
    .filter(([name]) => !names.has(name))
    .map((match) => `${file}:${lineOf(text, match.index)} names ${match[0]}, which is not there`);
}

/** The anchors GitHub gives a document's headings. */
function anchors(markdown) {
  return new Set(
    [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map((match) =>
      (match[1] ?? '')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    ),
  );
}

/** A label such as I3 or D12 at the start of a line of a comment, of a list or of a table row. */
const DEFINES =
  /^[ \t]*(?:\/?\*{1,2}|\/\/|-|\|)?[ \t]*(?:\*\*)?([A-Z]{1,2}\d{1,2})(?:\*\*)?(?:[ \t]*\||[ \t]{1,4}\S)/gm;
const CITES = /(?<![\w.#/-])([A-Z]{1,2}\d{1,2})(?![\w./-])/g;

/**
 * Invariant numbers that comments or documents cite and no header or document defines. A prefix
 * counts as a family of invariants when some label with it is defined.
 * @param {readonly Source[]} sources
 * @returns {string[]}
 */
export function undefinedInvariants(sources) {
  const read = sources.filter(
    ({ file }) =>
      /^(?:packages|apps)\/.*\.(?:ts|md)$/.test(file) ||
      /^docs\/.*\.md$/.test(file) ||
      /^[A-Z]+\.md$/.test(file),
  );
  const defined = new Set();
  for (const { file, text } of read) {
    const spoken = file.endsWith('.md') ? text : comments(text);
    for (const match of spoken.matchAll(DEFINES)) defined.add(match[1] ?? '');
  }
  const families = new Set([...defined].map((label) => label.replace(/\d+$/, '')));
  const found = [];
  for (const { file, text } of read) {
    const spoken = file.endsWith('.md') ? text : comments(text);
    for (const match of spoken.matchAll(CITES)) {
      const label = match[1] ?? '';
      if (!families.has(label.replace(/\d+$/, '')) || defined.has(label)) continue;
      found.push(`${file}:${lineOf(text, match.index)} cites ${label}, defined nowhere`);
    }
  }
  return found;
}

/** The comments of a source in place, everything else blank. */
function comments(text) {
  const code = blanked(text);
  return [...text].map((char, i) => (char === '\n' || code[i] !== char ? char : ' ')).join('');
}

/**
 * What a changeset says must be about packages there are, and every public package must have one or
 * a version that was released.
 * @param {readonly { name: string, version: string, private?: boolean }[]} packages
 * @param {readonly Source[]} changesets
 * @returns {string[]}
 */
export function changesetFaults(packages, changesets) {
  const found = [];
  const mentioned = new Set();
  const known = new Set(packages.filter((each) => each.private !== true).map(({ name }) => name));
  for (const { file, text } of changesets) {
    const matter = /^---\n([\s\S]*?)\n---\n+([\s\S]*)$/.exec(text);
    if (matter === null) {
      found.push(`${file}:1 has no front matter`);
      continue;
    }
    if ((matter[2] ?? '').trim() === '') found.push(`${file}:1 says nothing to the user`);
    (matter[1] ?? '').split('\n').forEach((line, index) => {
      if (line.trim() === '') return;
      const entry = /^['"]?([^'":]+)['"]?\s*:\s*(major|minor|patch)$/.exec(line.trim());
      if (entry === null) found.push(`${file}:${index + 2} is not "package": major|minor|patch`);
      else if (!known.has(entry[1] ?? ''))
        found.push(`${file}:${index + 2} names ${entry[1]}, no public package`);
      else mentioned.add(entry[1] ?? '');
    });
  }
  for (const { name, version, private: isPrivate } of packages) {
    if (isPrivate === true || version !== '0.0.0' || mentioned.has(name)) continue;
    found.push(`${name} has neither a released version nor a changeset: run "pnpm changeset"`);
  }
  return found;
}
