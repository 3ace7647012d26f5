/**
 * A backend of your own in five steps: write a driver (1), wrap it in `checked` (2), describe to the
 * conformance suite how to make one (3), run the suite (4), use it (5). This one keeps every block
 * deflated in memory; the layers above could not tell it from a disk.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { checked } from '@palimpsest/block-device';
import { blockDeviceCases } from '@palimpsest/block-device/testing';

// 1. The driver: four methods. `checked` has already refused what no device takes.
function createDeflatedDevice({ size, blockSize = 4096 }) {
  const blocks = new Map(); // block index -> deflated bytes; absent means zeros
  return checked({
    blockSize,
    size,
    readOnly: false,
    readInto(target, position) {
      for (let at = 0; at < target.length; at += blockSize) {
        const stored = blocks.get((position + at) / blockSize);
        if (stored === undefined) target.fill(0, at, at + blockSize);
        else target.set(inflateRawSync(stored), at);
      }
      return undefined; // done already: no promise needed
    },
    write(source, position) {
      for (let at = 0; at < source.length; at += blockSize) {
        const bytes = source.subarray(at, at + blockSize);
        blocks.set((position + at) / blockSize, deflateRawSync(bytes, { level: 1 }));
      }
      return undefined;
    },
    flush: () => undefined, // memory has nothing beneath to flush to
    async close() {
      blocks.clear(); // 2. is the call of `checked` around all of this
    },
  });
}

// 3. How the suite gets at the backend, and why it cannot do everything.
const fixture = {
  create: async () => createDeflatedDevice({ size: 65_536, blockSize: 512 }),
  reopen: { unsupported: 'memory forgets on close' },
};

// 4. The suite: plain cases, fit for any test runner, here for none.
let passed = 0;
for (const { name, run, skip } of blockDeviceCases) {
  const reason = skip?.(fixture);
  if (reason !== undefined) console.log(`skipped: ${name} (${reason})`);
  else {
    await run(fixture); // throws when a line of the contract is broken
    passed += 1;
  }
}
console.log(`${passed} of ${blockDeviceCases.length} conformance cases passed`);

// 5. Use it like any other device.
const device = createDeflatedDevice({ size: 1 << 20 });
await device.write(new Uint8Array(4096).fill(42), 8192);
const back = new Uint8Array(4096);
await device.readInto(back, 8192);
if (!back.every((byte) => byte === 42)) throw new Error('the device lost a block');
await device.close();
