/**
 * A chain: a list of bytes of any length kept in linked pages, written anew as a whole. It holds
 * what is small beside the map: the objects (volumes, snapshots, branches) and the group list.
 */
import { type BlockDevice, StorageError } from '@palimpsest/block-device';
import { checksum, viewOf } from '@palimpsest/bytes';
import { CHAIN_HEADER, CHAIN_MAGIC } from './format.js';

export const OBJECTS_CHAIN = 1;
export const GROUPS_CHAIN = 2;

/** Bytes of the list that fit in one page. */
function pageCapacity(blockSize: number): number {
  return blockSize - CHAIN_HEADER.size;
}

/** Pages that a list of `bytes` takes. */
export function chainPages(blockSize: number, bytes: number): number {
  return Math.ceil(bytes / pageCapacity(blockSize));
}

/** Writes `content` to the pages at `addresses`, of which there are `chainPages` many. */
export async function writeChain(
  device: BlockDevice,
  blockSize: number,
  chain: { kind: number; generation: number; addresses: readonly number[]; content: Uint8Array },
): Promise<void> {
  const capacity = pageCapacity(blockSize);
  for (const [index, address] of chain.addresses.entries()) {
    const part = chain.content.subarray(index * capacity, (index + 1) * capacity);
    const page = new Uint8Array(blockSize);
    CHAIN_HEADER.encode(page, 0, {
      magic: CHAIN_MAGIC,
      kind: chain.kind,
      address,
      next: chain.addresses[index + 1] ?? 0,
      generation: chain.generation,
      bytes: part.length,
      reserved: new Uint8Array(8),
      checksum: 0,
    });
    page.set(part, CHAIN_HEADER.size);
    viewOf(page).setUint32(CHAIN_HEADER.at.checksum, checksum(page), true);
    await device.write(page, address * blockSize);
  }
}

/**
 * Reads a chain back, with the addresses of its pages.
 * @throws {StorageError} ERR_CORRUPT when a page is not what the chain says it is.
 */
export async function readChain(
  device: BlockDevice,
  blockSize: number,
  chain: { kind: number; start: number; bytes: number; checksum: number },
): Promise<{ content: Uint8Array; addresses: number[] }> {
  const damaged = (address: number, what: string) =>
    new StorageError(
      'ERR_CORRUPT',
      `list ${chain.kind} of the save volume: page ${address} ${what}`,
    );
  if (chain.bytes > device.size) throw damaged(chain.start, `would start ${chain.bytes} bytes`);
  const content = new Uint8Array(chain.bytes);
  const addresses: number[] = [];
  let filled = 0;
  for (let address = chain.start; filled < chain.bytes; ) {
    const page = new Uint8Array(blockSize);
    if (address === 0 || (address + 1) * blockSize > device.size)
      throw damaged(address, 'is outside');
    await device.readInto(page, address * blockSize);
    const header = CHAIN_HEADER.decode(page, 0);
    viewOf(page).setUint32(CHAIN_HEADER.at.checksum, 0, true);
    if (header.magic !== CHAIN_MAGIC || header.kind !== chain.kind || header.address !== address) {
      throw damaged(address, 'is not a page of it');
    }
    if (checksum(page) !== header.checksum) throw damaged(address, 'does not pass its checksum');
    const length = Math.min(header.bytes, pageCapacity(blockSize), chain.bytes - filled);
    if (length === 0) throw damaged(address, 'is empty');
    content.set(page.subarray(CHAIN_HEADER.size, CHAIN_HEADER.size + length), filled);
    addresses.push(address);
    filled += length;
    address = header.next;
  }
  if (checksum(content) !== chain.checksum) throw damaged(chain.start, 'starts another generation');
  return { content, addresses };
}
