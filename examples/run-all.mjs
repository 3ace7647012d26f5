/**
 * Runs the numbered examples in order and stops at nothing: each must exit with 0. With --library only
 * those that need nothing but Node. Prints `examples done target seconds`.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Checks, tool } from '../scripts/lib/steps.mjs';

const folder = dirname(fileURLToPath(import.meta.url));
const library = process.argv.includes('--library');
const checks = new Checks('examples');
for (const file of readdirSync(folder).sort()) {
  if (!/^\d\d-.*\.(?:mjs|sh)$/.test(file) || (library && !file.endsWith('.mjs'))) continue;
  await checks.check(file, async () => {
    const said = await tool(file.endsWith('.sh') ? 'bash' : process.execPath, join(folder, file));
    process.stdout.write(said.replaceAll(/^(?=.)/gm, '     '));
  });
}
checks.finish();
