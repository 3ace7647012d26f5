/**
 * A store of its own for an example, served by the built daemon; gone when the example ends it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assertBuilt, pal, startDaemon } from './daemon.mjs';
import { missingTools } from './steps.mjs';

/**
 * Makes it and serves it. Where a tool is missing it says so, loudly, and the example ends well.
 * @param {...string} tools
 */
export async function servedStore(...tools) {
  const missing = missingTools(tools);
  if (missing.length > 0) {
    console.log(`SKIPPED: this example needs ${missing.join(', ')}`);
    process.exit(0);
  }
  assertBuilt();
  const folder = mkdtempSync(join(tmpdir(), 'palimpsest-example-'));
  const store = join(folder, 'store');
  await pal(store, 'init');
  const daemon = await startDaemon(store);
  return {
    store,
    async end() {
      await daemon.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
