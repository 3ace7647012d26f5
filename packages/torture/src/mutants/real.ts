/**
 * Seeded bugs that other systems had for real, put where our code could have them (the rows of the
 * table in docs/TESTING.md that are not in list.ts), and seven of our own in restore and refresh.
 */
import { damage, type Mutant, torture } from './mutant.js';

export const REAL_BUGS: readonly Mutant[] = [
  {
    name: 'map-page-freed-at-once',
    row: 1,
    bug: 'a page of the map is free before the one that replaces it is durable',
    file: 'packages/save-volume/src/save-volume.ts',
    find: 'release: (address: number) => replaced.push(address),',
    replace: 'release: (address: number) => void this.allocator.release(address),',
    check: torture,
  },
  {
    name: 'bit-maps-not-saved',
    row: 2,
    bug: 'a checkpoint publishes its trees without the bit maps that say whose their pages are',
    file: 'packages/save-volume/src/allocator.ts',
    find: 'return this.groups.maps.save(generation);',
    replace: 'return Promise.resolve(0 * generation);',
    check: torture,
  },
  {
    name: 'discard-behind-the-allocator',
    row: 3,
    bug: 'a freed run is discarded after it may have been handed out again',
    file: 'packages/save-volume/src/save-volume.ts',
    find: '          for (const run of found) await this.#discard(run);',
    replace:
      '          for (const run of found) void this.commit().then(() => this.#discard(run));',
    check: { kind: 'test', folder: 'packages/save-volume', filter: 'shrink' },
  },
  {
    name: 'list-pages-leak',
    row: 4,
    bug: 'each checkpoint leaves the pages of the object list it replaces in use',
    file: 'packages/save-volume/src/save-volume.ts',
    find: '      replaced.push(...this.#chains.objects);',
    replace: '',
    check: torture,
  },
  {
    name: 'bit-cleared-at-a-wrong-index',
    row: 5,
    bug: 'giving a block back at the edge of a byte clears the bit of its neighbour',
    file: 'packages/save-volume/src/allocator.ts',
    find: 'if (resident.map.delete(this.groups.indexOf(block))) this.#count(group, resident, -1);',
    replace:
      'const at = this.groups.indexOf(block);\n      ' +
      'if (resident.map.delete(at % 8 === 7 ? at - 1 : at)) this.#count(group, resident, -1);',
    check: torture,
  },
  {
    name: 'marks-before-the-flush',
    row: 7,
    bug: 'a restored block is marked as done before the image is flushed (RS2)',
    file: 'packages/ro-snapshot/src/restore-layers.ts',
    find: 'for (const block of this.#covered) {',
    replace: 'for (const block of this.#unmarked) {',
    check: torture,
  },
  {
    name: 'journal-anew-before-the-superblock',
    row: 9,
    bug: 'the journal starts anew before the superblock that allows it is durable (S1)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: `      await writeSuperblock(this.#device, this.blockSize, superblock);
      await this.#flush();
      this.#superblock`,
    replace: `      await writeSuperblock(this.#device, this.blockSize, superblock);
      this.#superblock`,
    check: torture,
  },
  {
    name: 'grown-size-before-the-growth',
    row: 10,
    bug: 'a larger volume is recorded before the image that is to be larger is durable (X1)',
    file: 'packages/ro-snapshot/src/resize.ts',
    find: `    if (clone.size < size) await clone.resize(size);
    await clone.flush();
  }
  await`,
    replace: `    if (clone.size < size) await clone.resize(size);
  }
  await`,
    check: torture,
  },
  {
    name: 'extents-without-what-is-held',
    row: 12,
    bug: 'block status speaks of the image and forgets writes that are held in memory',
    file: 'packages/ro-snapshot/src/production-device.ts',
    find: 'if (copyOut.held.size > 0 || !layers.none) return [{ length, zero: false, hole: false }];',
    replace: 'if (!layers.none) return [{ length, zero: false, hole: false }];',
    check: torture,
  },
  {
    name: 'copy-back-takes-errors-for-zeros',
    row: 13,
    bug: 'a source that cannot be read is copied back as zeros (R24)',
    file: 'packages/ro-snapshot/src/copy-back.ts',
    find: `      const completion = layers.readSource(level, part, first * blockSize);
      if (completion !== undefined) waits.push(completion);`,
    replace: `      waits.push((async () => layers.readSource(level, part, first * blockSize))().catch(() => {
        part.fill(0);
      }));`,
    check: { kind: 'test', folder: 'packages/torture', filter: 'restore-errors' },
  },
  {
    name: 'snapshot-without-draining',
    row: 15,
    bug: 'a snapshot is taken while requests are in flight (G1, R5)',
    file: 'packages/ro-snapshot/src/exclusion.ts',
    find: 'if (this.#inFlight > 0) {',
    replace: 'if (this.#inFlight < 0) {',
    check: torture,
  },
  {
    name: 'stale-bytes-beyond-the-source',
    row: 16,
    bug: 'what a larger volume has beyond the end of its restored source is not cleared (R9)',
    file: 'packages/ro-snapshot/src/restore-layers.ts',
    find: '    target.fill(0, inside);',
    replace: '',
    check: torture,
  },
  {
    name: 'superblocks-in-one-page',
    row: 17,
    bug: 'both superblocks lie in one 4 KiB page, which one torn write can hit',
    file: 'packages/save-volume/src/format.ts',
    find: 'return Math.max(4096, blockSize);',
    replace: 'return Math.max(512, blockSize);',
    check: torture,
  },
  {
    name: 'checksum-without-identity',
    row: 18,
    bug: 'a page of the map that checks out by itself is taken, whichever it is (T2)',
    file: 'packages/save-volume/src/page-cache.ts',
    find: `      header.checksum !== ref.checksum ||
      checksum(bytes) !== ref.checksum
    ) {
      throw damaged('does not pass its checksum');
    }
    if (header.tree !== tree || header.level !== level || header.address !== ref.address) {`,
    replace: `      checksum(bytes) !== header.checksum
    ) {
      throw damaged('does not pass its checksum');
    }
    if (header.tree < 0) {`,
    check: damage,
  },
  {
    name: 'zeros-pass-every-checksum',
    row: 19,
    bug: 'a saved block of zeros is taken for sound',
    file: 'packages/save-volume/src/save-volume.ts',
    find: 'if (completion === undefined && blockChecksum(space, block, target) === entry.checksum)',
    replace: `if (
      completion === undefined &&
      (target.every((byte) => byte === 0) ||
        blockChecksum(space, block, target) === entry.checksum)
    )`,
    check: damage,
  },
  {
    name: 'numbers-wrap-at-32-bits',
    row: 20,
    bug: 'block numbers and addresses of 48 bits lose their upper 16',
    file: 'packages/bytes/src/layout.ts',
    find: 'view.setUint16(at + 4, Math.floor(value / 0x1_0000_0000), true);',
    replace: 'view.setUint16(at + 4, 0, true);',
    check: { kind: 'test', folder: 'packages/bytes' },
  },
  {
    name: 'old-space-given-back-before-the-refresh',
    row: 23,
    bug: 'a refresh gives back what the branch had before the new base is durable (R1)',
    file: 'packages/rw-snapshot/src/branches.ts',
    find: `    const options = keep === undefined ? GIVES_BACK : {};
    await save.transact((batch) => {`,
    replace: `    const options = keep === undefined ? GIVES_BACK : {};
    await save.transact((batch) => {
      const { space: now } = findBranch(save, id, batch);
      putSpace(batch, now, { ...findSpace(save, now, batch), retired: true });
    });
    await save.transact((batch) => {`,
    check: torture,
  },
  {
    name: 'second-process-not-noticed',
    row: 24,
    bug: 'a store that another process has taken over is written to (R18)',
    file: 'packages/save-volume/src/save-volume.ts',
    find: '    if (seen > generation) {',
    replace: '    if (seen < 0) {',
    check: { kind: 'test', folder: 'packages/save-volume', filter: 'save-volume' },
  },
  {
    name: 'recovery-is-not-repeatable',
    row: 25,
    bug: 'what a recovery has replayed is passed over by the next one (V4, R17)',
    file: 'packages/save-volume/src/recovery.ts',
    find: '    durableSequence: replay.sequence,',
    replace: '    durableSequence: replay.sequence,\n    firstSequence: replay.sequence,',
    check: torture,
  },
  {
    name: 'restore-saves-one-side',
    bug: 'a block under a restore is saved for the youngest snapshot only, not for the undo side too',
    file: 'packages/ro-snapshot/src/old-states.ts',
    find: '    return states.missing(block);',
    replace: '    return [{ version: youngest, level: 0 }];',
    check: torture,
  },
  {
    name: 'copy-back-over-newer-writes',
    bug: 'the copy-back overwrites what a client wrote meanwhile (R22)',
    file: 'packages/ro-snapshot/src/copy-back.ts',
    find: 'layers.isPending(block) === true && copyOut.held.get(block) === undefined;',
    replace: 'layers.isPending(block) === true;',
    check: torture,
  },
  {
    name: 'copy-back-without-flush',
    bug: 'the cursor of a copy-back passes blocks that the image has in its cache only (R23)',
    file: 'packages/ro-snapshot/src/copy-back.ts',
    find: '  await copyOut.flushed(() => clone.flush());',
    replace: '  await copyOut.flushed(() => Promise.resolve(void clone));',
    check: torture,
  },
  {
    name: 'restore-needs-nothing',
    bug: 'the source of a running restore can be deleted (Q4)',
    file: 'packages/ro-snapshot/src/restores.ts',
    find: 'needs: [...new Set([source.ref.snapshot, source.root, undo.id])].filter((id) => id > 0),',
    replace: 'needs: [],',
    check: torture,
  },
  {
    name: 'kept-state-of-the-new-space',
    bug: 'the state that a refresh keeps is a snapshot of what the branch becomes (R1)',
    file: 'packages/rw-snapshot/src/branches.ts',
    find: `          type: 'snapshot',
          volume: old,`,
    replace: `          type: 'snapshot',
          volume: space,`,
    check: torture,
  },
  {
    name: 'retired-present-given-back',
    bug: 'what a branch had before a refresh is given back though a snapshot reads it (X1)',
    file: 'packages/rw-snapshot/src/retired-spaces.ts',
    find: '          if (read?.version === entry.version) continue;',
    replace: '',
    check: torture,
  },
  {
    name: 'flatten-under-a-restore',
    bug: 'a branch that a restore reads through gets blocks of its own',
    file: 'packages/rw-snapshot/src/flatten.ts',
    find: 'if (!lineageOf(save, volume, batch).includes(space)) continue;',
    replace: 'if (lineageOf(save, volume, batch).length >= 0) continue;',
    check: { kind: 'test', folder: 'packages/rw-snapshot', filter: 'flatten' },
  },
];
