/**
 * The journal: where its blocks are, whether its superblock makes sense, and what it holds that is not
 * at home yet. That is laid over the device in memory, so that all later passes see it.
 */
import { isStorageError } from '@palimpsest/block-device';
import { viewOf } from '@palimpsest/bytes';
import { crc32c } from '../crc32c.js';
import {
  JOURNAL_CHECKSUM_V2,
  JOURNAL_CHECKSUM_V3,
  JOURNAL_SUPERBLOCK,
  KIND_SUPERBLOCK_V2,
} from '../disk/journal-record.js';
import { COMPAT_JOURNAL, INCOMPAT_RECOVER } from '../features.js';
import type { Geometry } from '../geometry.js';
import { type JournalState, parseJournal, replayJournal } from '../journal-replay.js';
import type { Checking } from './checking.js';
import { Claims } from './claims.js';
import { walkMap } from './file-map.js';
import { Findings } from './finding.js';
import { readInode } from './inode-record.js';

/** Bytes that a replay into memory may take. */
const REPLAY_MAX = 256 << 20;

/**
 * Lays what the journal holds over the device. Answers false when the journal is needed and damaged, so
 * that nothing can be known of the rest.
 */
export async function replayInMemory(checking: Checking): Promise<boolean> {
  const { geometry, superblock, findings } = checking;
  const { compatible, incompatible } = geometry.features;
  const isDirty = (incompatible & INCOMPAT_RECOVER) !== 0;
  const hasJournal = (compatible & COMPAT_JOURNAL) !== 0;
  if (!hasJournal) {
    if (superblock.journalInode !== 0) {
      findings.add('journal', 'there is a journal, without the feature for that');
    }
    if (isDirty) findings.add('journal', 'the journal is needed, and there is none');
    return true;
  }
  try {
    await replay(checking, isDirty);
    return true;
  } catch (error) {
    if (!isStorageError(error, 'ERR_CORRUPT') && !isStorageError(error, 'ERR_FORMAT')) throw error;
    findings.add('journal', error.message, { ino: geometry.journalInode });
    return !isDirty;
  }
}

async function replay(checking: Checking, isDirty: boolean): Promise<void> {
  const { geometry, source, findings } = checking;
  // The inode is walked here to find the journal; what is wrong with it is told when its turn comes.
  const apart = { ...checking, claims: new Claims(geometry), findings: new Findings(1) };
  const places = await journalPlaces(apart, geometry);
  if (places === undefined) {
    const message = `inode ${geometry.journalInode} is no journal`;
    findings.add('journal', message, { ino: geometry.journalInode });
    return;
  }
  const read = async (target: Uint8Array, index: number): Promise<void> => {
    for (let at = 0; at < target.length; at += geometry.blockSize) {
      const place = places[index + at / geometry.blockSize] as number;
      target.set((await source.read(place)).bytes, at);
    }
  };
  const bytes = new Uint8Array(geometry.blockSize);
  await read(bytes, 0);
  const state = parseJournal(bytes, geometry.blockSize);
  doubtSuperblock(checking, state, bytes, places.length);
  if (!isDirty) {
    if (state.start !== 0) {
      findings.add('journal', 'the journal holds something, and the superblock says it does not', {
        ino: geometry.journalInode,
      });
    }
    return;
  }
  if (state.blocks > places.length) return;
  const { contents } = await replayJournal(state, geometry.blockSize, read, REPLAY_MAX);
  source.overlay = contents;
}

function doubtSuperblock(
  { findings, geometry }: Checking,
  state: JournalState,
  bytes: Uint8Array,
  blocks: number,
): void {
  const place = { ino: geometry.journalInode };
  if (state.blocks > blocks) {
    findings.add('journal', `the journal has ${blocks} of ${state.blocks} blocks`, place);
  }
  const error = viewOf(bytes).getUint32(JOURNAL_SUPERBLOCK.at.error, false);
  if (error !== 0) findings.add('journal', `the journal ended with error ${error}`, place);
  const users = viewOf(bytes).getUint32(JOURNAL_SUPERBLOCK.at.users, false);
  const isV2 = viewOf(bytes).getUint32(JOURNAL_SUPERBLOCK.at.kind, false) === KIND_SUPERBLOCK_V2;
  if (isV2 && users !== 1) findings.add('journal', `the journal has ${users} users`, place);
  const unknown = viewOf(bytes).getUint32(JOURNAL_SUPERBLOCK.at.readOnlyCompatible, false);
  if (isV2 && unknown !== 0) findings.add('journal', `the journal uses features ${unknown}`, place);
  const hasSum = (state.incompatible & (JOURNAL_CHECKSUM_V2 | JOURNAL_CHECKSUM_V3)) !== 0;
  if (!hasSum) return;
  const copy = bytes.slice(0, JOURNAL_SUPERBLOCK.size);
  const at = JOURNAL_SUPERBLOCK.at.checksum;
  const stored = viewOf(copy).getUint32(at, false);
  viewOf(copy).setUint32(at, 0, false);
  if (crc32c(copy, 0xffff_ffff) !== stored) {
    findings.add('checksum', "the journal's superblock has a wrong checksum", place);
  }
}

/** The journal's blocks in order; undefined when its inode makes no sense. */
async function journalPlaces(
  checking: Checking,
  geometry: Geometry,
): Promise<number[] | undefined> {
  if (geometry.journalInode < 1 || geometry.journalInode > geometry.inodes) return undefined;
  const inode = await readInode(checking, geometry.journalInode);
  if (!inode.isFile || inode.links === 0) return undefined;
  const places: number[] = [];
  await walkMap(checking, inode, {
    run({ logical, start, count }) {
      for (let i = 0; i < count; i++) places[logical + i] = start + i;
    },
  });
  const blocks = Math.floor(inode.size / geometry.blockSize);
  for (let i = 0; i < blocks; i++) if (places[i] === undefined) return undefined;
  return blocks === 0 ? undefined : places.slice(0, blocks);
}
