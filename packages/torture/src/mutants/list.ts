/**
 * The seeded bugs: what a hurried change would leave out, and some that were real.
 */
import { damage, type Mutant, torture } from './mutant.js';

/** What a hurried change would leave out. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: 'no-copy-out',
    bug: 'a first write overwrites the block without saving it (I1)',
    file: 'packages/ro-snapshot/src/copy-out.ts',
    find: '    for (const state of states) {',
    replace: '    for (const state of states.slice(states.length)) {',
    check: torture,
  },
  {
    name: 'overwrite-before-save',
    row: 6,
    bug: 'the clone volume changes before the old block is durable (I3)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: '      if (!batch.empty) await this.#write(batch);\n    } catch (error) {\n      this.#rounds',
    replace: `      this.#rounds.settle(members);
      if (!batch.empty) await this.#write(batch);
    } catch (error) {
      this.#rounds`,
    check: torture,
  },
  {
    name: 'commit-without-flush',
    bug: 'a commit is answered before the save volume is flushed (I3, I5)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: `      await this.#device.write(record, (journalStart + this.#journalHead) * this.blockSize);
      await this.#flush();`,
    replace: `      await this.#device.write(record, (journalStart + this.#journalHead) * this.blockSize);`,
    check: torture,
  },
  {
    name: 'superblock-before-its-pages',
    row: 22,
    bug: 'a superblock is written before what it refers to is durable (S1)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: `      const lists = await this.#writeLists(replaced, generation);
      await this.#flush();`,
    replace: `      const lists = await this.#writeLists(replaced, generation);`,
    check: torture,
  },
  {
    name: 'one-superblock-slot',
    bug: 'every superblock goes to the same slot, so a torn one is the last (S2)',
    file: 'packages/save-volume/src/superblock.ts',
    find: 'return generation % 2 === 0 ? 0 : superblockStride(blockSize);',
    replace: 'return 0;',
    check: torture,
  },
  {
    name: 'no-second-look',
    bug: 'a snapshot read that raced with a writer keeps what it read from the clone volume (N1)',
    file: 'packages/ro-snapshot/src/read-only-snapshot.ts',
    find: `      await this.#readSaved(first + at / blockSize, target.subarray(at, at + blockSize)); // N1`,
    replace: '',
    check: torture,
  },
  {
    name: 'snapshot-without-clone-flush',
    row: 8,
    bug: 'a snapshot is taken while what it shows is in the cache of the clone volume only (Q1)',
    file: 'packages/ro-snapshot/src/production-volume.ts',
    find: `    await this.#copyOut.flushed(() => this.#clone.flush());
    while`,
    replace: `    await this.#copyOut.flushed(() => Promise.resolve());
    while`,
    check: torture,
  },
  {
    name: 'flush-without-clone-flush',
    bug: 'a flush of production commits what is held, and forgets the clone volume (P3)',
    file: 'packages/ro-snapshot/src/production-device.ts',
    find: '    await copyOut.flushed(() => this.#cloneFlush.flush());',
    replace: '    await copyOut.flushed(() => Promise.resolve());',
    check: torture,
  },
  {
    name: 'freed-block-reused-early',
    bug: 'blocks that a commit frees are handed out before it is durable (C3)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: '    const addresses = await this.#storeData(batch);',
    replace: `    for (const address of batch.freed) await this.allocator.release(address);
    const addresses = await this.#storeData(batch);`,
    check: torture,
  },
  {
    name: 'no-checksum-on-saved-blocks',
    row: 14,
    bug: 'saved blocks are handed out unchecked (I9)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: 'if (completion === undefined && blockChecksum(space, block, target) === entry.checksum)',
    replace: 'if (completion === undefined)',
    check: damage,
  },
  {
    name: 'damaged-journal-is-its-end',
    bug: 'a record that a later one proves durable is damaged, and replay stops there (V1)',
    file: 'packages/save-volume/src/recovery.ts',
    find: '    await this.#assertEnd();',
    replace: '',
    check: damage,
  },
  {
    name: 'replay-without-data',
    bug: 'replay accepts a record whose data did not arrive (V2)',
    file: 'packages/save-volume/src/recovery.ts',
    find: 'if (!proven && !(await this.#hasItsData(record))) {',
    replace: 'if (!proven && false) {',
    check: torture,
  },
  {
    name: 'recovery-trusts-the-cache',
    bug: 'recovery vouches for records that are in the cache of the system only (V5)',
    file: 'packages/save-volume/src/recovery.ts',
    find: '  await device.flush(); // V5',
    replace: '',
    check: torture,
  },
  {
    name: 'flush-joins-a-running-commit',
    bug: 'a flush that comes while a commit runs shares it, though it does not cover the flush (C9)',
    file: 'packages/save-volume/src/rounds.ts',
    find: '    if (member.next === undefined) {',
    replace: `    if (member.running !== undefined) return member.running.ended;
    if (member.next === undefined) {`,
    check: torture,
  },
  {
    name: 'round-ends-before-it-is-settled',
    bug: 'a flush goes on, and the next round begins, while held blocks are written to the image (C9)',
    file: 'packages/save-volume/src/rounds.ts',
    find: `      this.#after(
        member,
        () => member.participant.settle(),
        () => this.#settled(member),
      );`,
    replace: `      void member.participant.settle();
      this.#settled(member);`,
    check: torture,
  },
  {
    name: 'flush-joins-a-running-flush',
    bug: 'a flush of production that comes while another runs shares that one (D2)',
    file: 'packages/block-device/src/shared-flush.ts',
    find: 'if (this.#running === undefined) return this.#start();',
    replace:
      'if (this.#running === undefined) return this.#start();\n    else return this.#running;',
    check: torture,
  },
  {
    name: 'bit-map-page-in-place',
    bug: 'the bit map that the current superblock relies on is overwritten (A2)',
    file: 'packages/save-volume/src/bit-maps.ts',
    find: 'const slot = state.slot === 0 ? 1 : 0;',
    replace: 'const slot = state.slot === 2 ? 0 : state.slot;',
    check: torture,
  },
  {
    name: 'no-reserve-for-metadata',
    bug: 'a full save volume has no space left to delete, or to write a checkpoint (I8)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: 'if (this.allocator.free - this.#reserved - this.#metadataReserve(blocks) < blocks) return false;',
    replace: 'if (this.allocator.free - this.#reserved < blocks) return false;',
    check: torture,
  },
  {
    name: 'delete-frees-what-an-older-needs',
    row: 21,
    bug: 'deleting a middle snapshot frees blocks that the one before it reads (Q3)',
    file: 'packages/ro-snapshot/src/snapshot-queue.ts',
    find: 'if (heir !== undefined && (await isKept(block))) {',
    replace: 'if (heir !== undefined && (await isKept(block)) && block < 0) {',
    check: torture,
  },
  {
    name: 'delete-keeps-what-nobody-needs',
    bug: 'deleting a snapshot leaves its blocks in use (leak)',
    file: 'packages/ro-snapshot/src/snapshot-queue.ts',
    find: `          batch.free(entry.address);
          freed += 1;`,
    replace: '',
    check: torture,
  },
  {
    name: 'branch-write-shows-in-snapshots',
    bug: 'what is written to a branch reaches its base (I4)',
    file: 'packages/rw-snapshot/src/own-blocks.ts',
    find: '        batch.put(this.#space, block, LIVE, bytes);',
    replace: `        batch.put(this.#space, block, LIVE, bytes);
        {
        batch.put(1, block, 2 ** 40, bytes);
      }`,
    check: torture,
  },
  {
    name: 'branch-zeros-show-the-base',
    bug: 'a zeroed block of a branch is not recorded, so the base shines through (K3)',
    file: 'packages/rw-snapshot/src/own-blocks.ts',
    find: 'batch.putZero(this.#space, block, LIVE);',
    replace: 'batch.hasRoom(1);',
    check: torture,
  },
  {
    name: 'branch-keeps-old-blocks',
    bug: 'a rewritten branch block leaves its old place in use (leak)',
    file: 'packages/rw-snapshot/src/own-blocks.ts',
    find: `    batch.free(entry.address);
    this.#tally.blocks -= 1;`,
    replace: '',
    check: torture,
  },
  {
    name: 'bit-map-kept-at-new-snapshot',
    bug: 'blocks saved for the last snapshot count as saved for the new one',
    file: 'packages/ro-snapshot/src/regions.ts',
    find: '  begin(): void {\n    this.reset();',
    replace: '  begin(): void {',
    check: torture,
  },
  {
    name: 'bit-map-begun-at-a-deletion',
    bug: 'nothing counts as saved for the snapshot that a deletion makes the youngest (RG4)',
    file: 'packages/ro-snapshot/src/production-volume.ts',
    find: 'if (taken) this.#saved.begin(',
    replace: 'if (taken || this.#queue.youngest > 0) this.#saved.begin(',
    check: torture,
  },
  {
    name: 'bit-map-never-set',
    bug: 'a block is saved again at each write, over what was saved first (I2)',
    file: 'packages/ro-snapshot/src/copy-out.ts',
    find: 'for (const block of filled) saved.add(block);',
    replace: '',
    check: torture,
  },
  {
    name: 'failed-flush-tried-again',
    row: 11,
    bug: 'a device that failed to flush says yes to the next flush (D5)',
    file: 'packages/block-device/src/checked.ts',
    find: '    this.#failed = true;',
    replace: '',
    check: { kind: 'test', folder: 'packages/block-device', filter: 'checked' },
  },
  {
    name: 'failed-sync-tried-again',
    bug: 'a file whose fdatasync failed for want of space may be flushed again (F3)',
    file: 'packages/block-device-file/src/file-driver.ts',
    find: `new StorageError('ERR_IO', message + reason(error), { cause: error })`,
    replace: `translate(error, 'flush')`,
    check: { kind: 'test', folder: 'packages/block-device-file', filter: 'file-device' },
  },
  {
    name: 'zeros-past-a-shrunken-file',
    bug: 'a read past the end of a file that became shorter gives zeros (F1)',
    file: 'packages/block-device-file/src/file-driver.ts',
    find: 'if (count === 0) throw this.#shrunk(position + done);',
    replace: 'if (count === 0) return void target.fill(0, done);',
    check: { kind: 'test', folder: 'packages/block-device-file', filter: 'file-device' },
  },
  {
    name: 'zeros-past-a-shrunken-file-in-the-pool',
    bug: 'the same in a read that the thread pool does (F1)',
    file: 'packages/block-device-file/src/file-driver.ts',
    find: 'else if (count < target.length) reject(this.#shrunk(position + count));',
    replace: 'else if (count < target.length) resolve(void target.fill(0, count));',
    check: { kind: 'test', folder: 'packages/block-device-file', filter: 'file-device' },
  },
  {
    name: 'fua-ignored',
    bug: 'an NBD write under FUA is answered before it is durable',
    file: 'packages/nbd/src/client-work.ts',
    find: 'return (flags & COMMAND_FLAG.fua) !== 0;',
    replace: 'return flags < 0;',
    check: { kind: 'test', folder: 'packages/nbd', filter: 'transmission' },
  },
];
