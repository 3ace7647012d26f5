/**
 * What a stranger gets: packs every public package, asks publint and "are the types wrong?" about
 * the tarball, then installs all tarballs together elsewhere with plain npm and imports every entry
 * with plain node. Tests on `src` cannot see a packaging error; this does.
 *
 *   K1  The tarball, not the folder, is judged: `workspace:` and the private source condition are
 *       gone from it, and it holds what its `exports` name.
 *   K2  No network: workspace packages come from the tarballs, third-party ones are packed from
 *       node_modules.
 *
 * Run after a build: node scripts/pack-check.mjs
 */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

const run = promisify(execFile);
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
/** Ways of resolving that packages of ES modules do not serve: the profile `esm-only`. */
const NOT_FOR_ESM = ['node10', 'node16-cjs'];
const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^npm_/i.test(key)));

/** Every public package: its folder and its manifest. */
async function publicPackages() {
  const found = [];
  for (const group of ['packages', 'apps']) {
    for (const name of readdirSync(join(ROOT, group)).sort()) {
      const folder = join(ROOT, group, name);
      if (!existsSync(join(folder, 'package.json'))) continue;
      const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
      if (manifest.private !== true) found.push({ folder, manifest });
    }
  }
  return found;
}

/** Runs `work` on each item, as many at once as there are processors; keeps the order. */
async function inParallel(items, work) {
  const results = new Array(items.length);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]);
  };
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), items.length) }, worker));
  return results;
}

/** Packs one package into `into`; the path of its tarball. */
async function pack({ folder }, into) {
  const { stdout } = await run('pnpm', ['pack', '--json', '--pack-destination', into], {
    cwd: folder,
    env,
  });
  const report = JSON.parse(stdout.slice(stdout.search(/[[{]/)));
  const { filename } = Array.isArray(report) ? report[0] : report;
  return join(into, filename.split('/').at(-1));
}

/** What publint and attw have against a tarball. */
async function faultsOf({ manifest }, file) {
  const bytes = new Uint8Array(await readFile(file));
  const tarball = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const linted = await publint({ pack: { tarball } });
  const faults = linted.messages
    .filter(({ type }) => type !== 'suggestion')
    .map((message) => `${manifest.name}: publint: ${formatMessage(message, linted.pkg)}`);
  const analysis = await checkPackage(createPackageFromTarballData(bytes));
  if (!analysis.types) return [...faults, `${manifest.name}: attw: no types`];
  for (const problem of analysis.problems) {
    if (NOT_FOR_ESM.includes(problem.resolutionKind)) continue;
    faults.push(`${manifest.name}: attw: ${JSON.stringify(problem)}`);
  }
  return faults;
}

/** A tarball of the installed copy of a third-party dependency: no network is needed (K2). */
async function packInstalled(name, from, into) {
  const flat = name.replaceAll(/[@/]/g, '-');
  const source = await realpath(join(from, 'node_modules', name));
  await cp(source, join(into, flat, 'package'), {
    recursive: true,
    filter: (path) => !path.slice(source.length).includes('node_modules'),
  });
  await run('tar', ['-czf', `${flat}.tgz`, '-C', flat, 'package'], { cwd: into });
  return join(into, `${flat}.tgz`);
}

/** Installs the tarballs in `stage` and imports every entry of every package with plain node. */
async function installAndImport(stage, packages, tarballs, thirdParty) {
  const dependencies = Object.fromEntries([
    ...packages.map(({ manifest }, i) => [manifest.name, `file:${tarballs[i]}`]),
    ...thirdParty,
  ]);
  await writeFile(
    join(stage, 'package.json'),
    JSON.stringify({ name: 'stranger', private: true, type: 'module', dependencies }),
  );
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await run('npm', ['install', ...flags], { cwd: stage, env });
  const entries = packages.flatMap(({ manifest }) =>
    Object.keys(manifest.exports ?? {})
      .filter((key) => !key.endsWith('package.json'))
      .map((key) => manifest.name + key.slice(1)),
  );
  const script = `
    for (const entry of ${JSON.stringify(entries)}) {
      const names = Object.keys(await import(entry));
      if (names.length === 0) throw new Error(entry + ' exports nothing');
      console.log(entry + ': ' + names.length + ' exports');
    }`;
  await writeFile(join(stage, 'import.mjs'), script);
  const { stdout } = await run(process.execPath, ['import.mjs'], { cwd: stage, env });
  for (const { manifest } of packages) {
    for (const name of Object.keys(manifest.bin ?? {})) {
      await run(join(stage, 'node_modules/.bin', name), ['--help'], { cwd: stage, env });
    }
  }
  return stdout;
}

const stage = await mkdtemp(join(tmpdir(), 'palimpsest-pack-'));
try {
  const packages = await publicPackages();
  const into = join(stage, 'tarballs');
  await mkdir(into);
  const tarballs = await inParallel(packages, (each) => pack(each, into));
  const faults = (
    await inParallel(packages, (each) => faultsOf(each, tarballs[packages.indexOf(each)]))
  ).flat();
  const wanted = new Map();
  for (const { folder, manifest } of packages) {
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      if (!name.startsWith('@palimpsest/')) wanted.set(name, folder);
    }
  }
  const thirdParty = await inParallel([...wanted], async ([name, folder]) => [
    name,
    `file:${await packInstalled(name, folder, into)}`,
  ]);
  if (faults.length === 0) {
    process.stdout.write(await installAndImport(stage, packages, tarballs, thirdParty));
  }
  for (const fault of faults) console.error(fault);
  console.log(`pack-check: ${packages.length} packages, ${faults.length} fault(s)`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await rm(stage, { recursive: true, force: true });
}
