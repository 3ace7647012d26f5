/**
 * Any BlockDevice as an NBD export: a memory device on a Unix socket. The server never hears of
 * sockets or snapshots: it takes a byte stream and a catalog. With --stay it serves until Ctrl-C;
 * without, it asks itself for the first block and ends.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMemoryDevice } from '@palimpsest/block-device';
import { createNbdServer } from '@palimpsest/nbd';
import { connectNbd } from '../scripts/lib/nbd-client.mjs';

const device = createMemoryDevice({ size: 64 << 20 });
const server = createNbdServer({
  catalog: {
    list: async () => [{ name: 'ram', description: '64 MiB that the process forgets' }],
    open: async (name) =>
      name === 'ram' || name === '' ? { device, release: async () => {} } : undefined,
  },
});

const folder = mkdtempSync(join(tmpdir(), 'palimpsest-example-'));
const socket = join(folder, 'nbd.sock');
const listener = createServer((stream) => {
  server.serve(stream).catch((error) => console.error(`a client left: ${error.message}`));
});
await new Promise((resolve) => listener.listen(socket, resolve));
console.log(`serving; try: nbdinfo 'nbd+unix:///ram?socket=${socket}'`);

if (process.argv.includes('--stay')) {
  await new Promise((resolve) => process.once('SIGINT', resolve));
} else {
  const client = await connectNbd(socket, 'ram');
  await client.write(0, Buffer.alloc(4096, 7), { fua: true });
  const back = await client.read(0, 4096);
  if (!back.every((byte) => byte === 7)) throw new Error('read back something else');
  console.log(`a client sees ${client.size} bytes, and reads back what it wrote`);
  await client.close();
}
listener.close();
await server.close();
await device.close();
rmSync(folder, { recursive: true, force: true });
