/**
 * The layer check: a lower layer never imports an upper one. Storage and access are two columns
 * that meet only in the apps, and effects (clocks, chance, processes, files, sockets) stay at the
 * edge. LAYERS below is the picture of docs/ARCHITECTURE.md as data; a new package adds a line.
 *
 *   L1  A package imports only packages of lower layers, in its own column or in a shared one.
 *   L2  What a source imports from the workspace, its package.json declares in `dependencies`;
 *       what only tests import, in either list.
 *   L3  Code that ships never imports a `./testing` sub-path.
 *   L4  Packages under packages/ have no third-party runtime dependency.
 *   L5  Effects appear only where `effects` allows them. Node modules that are pure functions of
 *       their input are free.
 *
 * Run: node scripts/layers.mjs [root]. Prints file:line for each violation and exits with 1.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { blanked, lineOf } from './lib/source.mjs';

const SCOPE = '@palimpsest/';

/**
 * @typedef {object} Place
 * @property {number} layer A package imports only smaller numbers (L1).
 * @property {readonly string[]} columns Where the package may be imported; 'shared' is everywhere.
 * @property {boolean} [app] Apps may import any column, and have third-party dependencies.
 * @property {boolean} [effects] Clocks, chance, processes, files and sockets are allowed (L5).
 * @property {readonly string[]} [allows] Node modules and globals allowed beyond the pure ones.
 */

/** @type {Readonly<Record<string, Place>>} */
export const LAYERS = {
  bytes: { layer: 0, columns: ['shared'] },
  'block-device': { layer: 1, columns: ['shared'] },
  'block-device-file': { layer: 2, columns: ['devices'], effects: true },
  'change-stream': { layer: 2, columns: ['storage'] },
  'save-volume': { layer: 3, columns: ['storage'] },
  'ro-snapshot': { layer: 4, columns: ['storage'] },
  'rw-snapshot': { layer: 5, columns: ['storage'] },
  control: { layer: 6, columns: ['storage'] },
  // The clock, the timers and a new image's uuid are options with a default. Its API has the shapes of
  // Node's: handles that emit, streams, lines, paths and URLs.
  toyfs: {
    layer: 2,
    columns: ['files', 'access'],
    allows: [
      'Date.now',
      'setTimeout',
      'Math.random',
      'node:events',
      'node:path',
      'node:readline',
      'node:stream',
      'node:url',
    ],
  },
  // The one place where a store and the file systems on it meet. Idle times and deadlines are the
  // timer's, an option with a default.
  'mounted-files': { layer: 7, columns: ['storage', 'files'], allows: ['setTimeout'] },
  'nbd-codec': { layer: 1, columns: ['access', 'devices'] },
  // Time-outs are part of the protocol's manners: the timers are an option with a default.
  nbd: { layer: 7, columns: ['access'], allows: ['node:stream', 'setTimeout', 'setImmediate'] },
  torture: { layer: 8, columns: ['tests'], app: true, effects: true },
  server: { layer: 8, columns: ['apps'], app: true, effects: true },
  cli: { layer: 9, columns: ['apps'], app: true, effects: true },
};

/** Node modules without effects: functions of their arguments, or types. */
const PURE_MODULES = ['node:zlib', 'node:buffer', 'node:assert', 'node:util'];

/** Globals with effects, and what a core package does instead. */
const EFFECTS = [
  { name: 'Date.now', pattern: /\bDate\s*\.\s*now\b/g, instead: 'take a clock as an option' },
  { name: 'new Date()', pattern: /\bnew\s+Date\s*\(\s*\)/g, instead: 'take a clock as an option' },
  { name: 'performance', pattern: /\bperformance\s*\.\s*now\b/g, instead: 'take a clock' },
  { name: 'Math.random', pattern: /\bMath\s*\.\s*random\b/g, instead: 'take a generator' },
  { name: 'setTimeout', pattern: /\bsetTimeout\b/g, instead: 'take a timer as an option' },
  { name: 'setInterval', pattern: /\bsetInterval\b/g, instead: 'take a timer as an option' },
  { name: 'setImmediate', pattern: /\bsetImmediate\b/g, instead: 'await a promise' },
  { name: 'process', pattern: /(?<![.\w$])process\s*\.\s*\w/g, instead: 'leave it to the apps' },
  { name: 'crypto', pattern: /(?<![.\w$])crypto\s*\.\s*\w/g, instead: 'take a generator' },
  {
    name: 'fetch',
    pattern: /(?:\bawait|\breturn|[=(,])\s*fetch\s*\(/g,
    instead: 'leave it to an adapter',
  },
  { name: 'console', pattern: /(?<![.\w$])console\s*\.\s*\w/g, instead: 'take a logger' },
];

const IMPORT =
  /(?:\b(?:import|export)\b[^'";]*?\bfrom\s*|\bimport\s*\(\s*|\bimport\s+)(['"])([^'"\n]+)\1/g;

/**
 * Every violation in the tree at `root`, as `file:line message`.
 * @param {string} root
 * @param {Readonly<Record<string, Place>>} [layers]
 * @returns {string[]}
 */
export function layerViolations(root, layers = LAYERS) {
  const violations = [];
  for (const group of ['packages', 'apps']) {
    if (!existsSync(join(root, group))) continue;
    for (const name of readdirSync(join(root, group)).sort()) {
      const folder = join(root, group, name);
      if (!existsSync(join(folder, 'package.json'))) continue;
      const place = layers[name];
      if (place === undefined) {
        violations.push(`${group}/${name}/package.json:1 has no place in scripts/layers.mjs`);
        continue;
      }
      violations.push(...packageViolations({ root, folder, name, place, layers }));
    }
  }
  return violations;
}

/** @param {{ root: string, folder: string, name: string, place: Place, layers: typeof LAYERS }} at */
function packageViolations({ root, folder, name, place, layers }) {
  const violations = [];
  const text = readFileSync(join(folder, 'package.json'), 'utf8');
  const manifest = JSON.parse(text);
  const shipped = new Set(Object.keys(manifest.dependencies ?? {}));
  const declared = new Set([...shipped, ...Object.keys(manifest.devDependencies ?? {})]);
  const here = (file, line, message) => {
    violations.push(`${relative(root, file)}:${line} ${message}`);
  };
  for (const dependency of shipped) {
    const line = lineOf(text, text.indexOf(`"${dependency}"`, text.indexOf('"dependencies"')));
    const file = join(folder, 'package.json');
    if (dependency.startsWith(SCOPE)) {
      const refusal = refusedImport(place, dependency.slice(SCOPE.length), layers);
      if (refusal !== undefined) here(file, line, `depends on ${dependency}: ${refusal} (L1)`);
    } else if (place.app !== true) {
      here(file, line, `depends on ${dependency}: core packages have no third-party ones (L4)`);
    }
  }
  for (const file of sources(join(folder, 'src'))) {
    const source = readFileSync(file, 'utf8');
    const isTest = /\.(?:test|fuzz)\.ts$/.test(file);
    const isTesting = isTest || relative(folder, file).startsWith(join('src', 'testing'));
    for (const { specifier, line } of imports(source)) {
      const why = isTest
        ? undeclared(specifier, declared, name)
        : (importViolation({ specifier, name, place, layers, isTesting }) ??
          undeclared(specifier, shipped, name));
      if (why !== undefined) here(file, line, why);
    }
    if (isTesting || place.effects === true) continue;
    const code = blanked(source, { strings: true });
    for (const { name: effect, pattern, instead } of EFFECTS) {
      if (place.allows?.includes(effect) === true) continue;
      for (const { index } of code.matchAll(pattern)) {
        here(file, lineOf(source, index), `uses ${effect}: ${instead} (L5)`);
      }
    }
  }
  return violations;
}

/** Why a package at `place` may not import the workspace package `target`; undefined if it may. */
function refusedImport(place, target, layers) {
  const other = layers[target];
  if (other === undefined) return 'no such package in scripts/layers.mjs';
  if (other.layer >= place.layer) {
    return `layer ${place.layer} may import only lower layers, this is ${other.layer}`;
  }
  const meets = other.columns.some(
    (column) => column === 'shared' || place.columns.includes(column),
  );
  if (!meets && place.app !== true) {
    return `the ${place.columns[0]} column does not know the ${other.columns[0]} column`;
  }
  return undefined;
}

/** Why code that ships may not import `specifier`; undefined if it may. */
function importViolation({ specifier, name, place, layers, isTesting }) {
  if (specifier.startsWith(SCOPE)) {
    const [target = '', ...path] = specifier.slice(SCOPE.length).split('/');
    if (target === name) return `imports ${specifier}: a package imports itself by relative path`;
    const refusal = refusedImport(place, target, layers);
    if (refusal !== undefined) return `imports ${specifier}: ${refusal} (L1)`;
    if (path[0] === 'testing' && !isTesting && name !== 'torture') {
      return `imports ${specifier}: code that ships does not import a test suite (L3)`;
    }
    return undefined;
  }
  if (specifier.startsWith('.')) {
    return !isTesting && /(?:^|\/)testing(?:\/|\.js$)|\.test\.js$/.test(specifier)
      ? `imports ${specifier}: code that ships does not import a test suite (L3)`
      : undefined;
  }
  const module = specifier.startsWith('node:') ? specifier : undefined;
  if (module === undefined || place.effects === true || isTesting) return undefined;
  const allowed = [...PURE_MODULES, ...(place.allows ?? [])];
  const ok = allowed.some((each) => module === each || module.startsWith(`${each}/`));
  return ok ? undefined : `imports ${module}: effects stay in the adapters and the apps (L5)`;
}

/** Why a package may be imported though its package.json does not say so; undefined if it does. */
function undeclared(specifier, declared, name) {
  if (specifier.startsWith('.') || specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  const target = specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
  if (declared.has(target) || target === SCOPE + name) return undefined;
  return `imports ${specifier}, which package.json does not declare (L2)`;
}

/** The import specifiers of a source, with their lines; type imports count. */
export function imports(source) {
  const code = blanked(source);
  const bare = blanked(source, { strings: true });
  return [...code.matchAll(IMPORT)]
    .filter(({ index }) => bare[index] === code[index] && /\S/.test(bare[index] ?? ''))
    .map((match) => ({
      specifier: match[2] ?? '',
      line: lineOf(source, match.index + match[0].length - 1),
    }));
}

/** The TypeScript files under `folder`, sorted. */
function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .sort()
    .map((file) => join(folder, file));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '..');
  const violations = layerViolations(root);
  for (const violation of violations) console.error(violation);
  if (violations.length > 0) {
    console.error(`layers: ${violations.length} violation(s)`);
    process.exit(1);
  }
  console.log(`layers: ${Object.keys(LAYERS).length} packages, every import points downwards`);
}
