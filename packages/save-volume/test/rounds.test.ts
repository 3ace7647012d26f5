/**
 * Goal: who has a round under way, and what the next one is shared by (C9), who goes into a cycle (C10),
 * and what becomes of rounds when something breaks or ends.
 * Method: participants that store blocks of a space of their own, and gather and settle when told.
 */
import { type Completion, createMemoryDevice } from '@palimpsest/block-device';
import { failing } from '@palimpsest/block-device/testing';
import { expect, test } from 'vitest';
import {
  type Batch,
  formatSaveVolume,
  HeldBlocks,
  openSaveVolume,
  type Participant,
  type SaveVolume,
} from '../src/index.js';

const BLOCK = 512;

async function makeStore() {
  const disk = failing(createMemoryDevice({ blockSize: BLOCK, size: 1 << 20 }));
  await formatSaveVolume(disk.device, { blockSize: BLOCK, journalBytes: 65_536 });
  return { disk, save: await openSaveVolume(disk.device) };
}

/** Holds blocks of a space; `gathering` and `settling` say what its own device does. */
class Holder implements Participant {
  readonly held: HeldBlocks;
  readonly log: string[] = [];
  gathering: () => Completion = () => undefined;
  settling: () => Completion = () => undefined;
  readonly #save: SaveVolume;
  readonly #space: number;

  constructor(save: SaveVolume, space: number) {
    this.held = new HeldBlocks(save);
    this.#save = save;
    this.#space = space;
    save.join(this);
  }

  get hasWork(): boolean {
    return this.held.size > 0;
  }

  hold(block: number): void {
    expect(this.#save.reserve(1)).toBe(true);
    this.held.hold(block, new Uint8Array(BLOCK).fill(block + 1));
  }

  begin(): void {
    this.log.push('begin');
    this.held.begin();
  }

  gather(): Completion {
    this.log.push('gather');
    return this.gathering();
  }

  fill(batch: Batch): boolean {
    const blocks = this.held.unfilled();
    this.log.push(`fill ${blocks.join(' ')}`);
    for (const block of blocks) {
      batch.put(this.#space, block, 1, this.held.committing(block) as Uint8Array);
      this.held.fill(block);
    }
    return false;
  }

  settle(): Completion {
    this.log.push('settle');
    const completion = this.settling();
    if (completion === undefined) this.held.settle();
    return completion?.then(() => this.held.settle());
  }

  abandon(): void {
    this.log.push('abandon');
    this.held.abandon();
  }
}

/** A promise, and what ends it. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** Lets everything that can go on do so. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('one round at a time, and those who ask meanwhile share the next', async () => {
  const { save } = await makeStore();
  const a = new Holder(save, 7);
  const settled = gate();
  a.settling = () => settled.passed;
  a.hold(1);
  const first = save.commit(a);
  await turns();
  a.hold(2);
  const second = save.commit(a);
  a.hold(3);
  const third = save.commit(a);
  await turns();
  expect(a.log).toEqual(['begin', 'gather', 'fill 1', 'settle']);
  a.settling = () => undefined;
  settled.open();
  await Promise.all([first, second, third]);
  expect(a.log.slice(4)).toEqual(['begin', 'gather', 'fill 2 3', 'settle']);
});

test('a round begins with its cycle, and has what was held until then', async () => {
  const { save } = await makeStore();
  const a = new Holder(save, 7);
  const b = new Holder(save, 8);
  a.hold(1);
  const first = save.commit(a);
  b.hold(1);
  const second = save.commit(b);
  b.hold(2);
  await Promise.all([first, second]);
  expect(b.log).toEqual(['begin', 'gather', 'fill 1 2', 'settle']);
  expect(save.metrics().commits).toBe(1);
});

test('one who had to wait gathers ahead the next time, and is ready for the cycle after', async () => {
  const { save } = await makeStore();
  const late = new Holder(save, 7);
  const other = new Holder(save, 8);
  late.gathering = turns;
  late.hold(1);
  await save.commit(late);
  const ready = gate();
  late.gathering = () => ready.passed;
  late.log.length = 0;
  late.hold(2);
  const asked = save.commit(late);
  expect(late.log).toEqual(['begin', 'gather']);
  for (let block = 0; block < 5; block += 1) {
    other.hold(block);
    await save.commit(other);
  }
  ready.open();
  await asked;
  expect(late.log).toEqual(['begin', 'gather', 'fill 2', 'settle']);
});

test('who never settles is waited for by nobody else, nor by transactions and checkpoints', async () => {
  const { save } = await makeStore();
  const stuck = new Holder(save, 7);
  const other = new Holder(save, 8);
  const settled = gate();
  stuck.settling = () => settled.passed;
  stuck.hold(1);
  const never = save.commit(stuck);
  other.hold(1);
  await save.commitIdle();
  await save.transact((batch) => batch.object(99, new Uint8Array(8)));
  await save.checkpoint();
  other.hold(2);
  await save.commitIdle(); // the one before has not ended
  expect(other.held.size).toBe(0);
  expect(await save.readSaved(7, 1, 1, new Uint8Array(BLOCK))).toBe(true); // durable all the same
  settled.open();
  await never;
  await save.commit();
});

test('leaving waits for the round under way, and refuses the one that was asked for', async () => {
  const { save } = await makeStore();
  const a = new Holder(save, 7);
  const settled = gate();
  a.settling = () => settled.passed;
  a.hold(1);
  const first = save.commit(a);
  await turns();
  a.hold(2);
  const second = save.commit(a);
  let left = false;
  const leaving = save.leave(a).then(() => {
    left = true;
  });
  await expect(second).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  await turns();
  expect(left).toBe(false);
  settled.open();
  await Promise.all([first, leaving]);
  expect(a.held.size).toBe(1);
  a.held.drop();
  expect(save.space().dirtyBytes).toBe(0);
  await expect(save.commit(a)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  await save.commit();
});

test('a commit that fails fails every round that waits for one, and all that come', async () => {
  const { save, disk } = await makeStore();
  const a = new Holder(save, 7);
  const b = new Holder(save, 8);
  const gathered = gate();
  b.gathering = () => gathered.passed;
  a.hold(1);
  b.hold(1);
  disk.fail({ call: 'flush', nth: 1 });
  const both = [save.commit(a), save.commit(b)];
  await expect(both[0]).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(a.log.at(-1)).toBe('abandon');
  gathered.open();
  await expect(both[1]).rejects.toMatchObject({ code: 'ERR_FAILED' });
  await expect(save.commit(a)).rejects.toMatchObject({ code: 'ERR_FAILED' });
  await expect(save.commit()).rejects.toMatchObject({ code: 'ERR_FAILED' });
  await expect(save.transact(() => undefined)).rejects.toMatchObject({ code: 'ERR_FAILED' });
});

test('a participant that fails where it must not ends the store’s writing', async () => {
  const { save } = await makeStore();
  const a = new Holder(save, 7);
  a.settling = () => Promise.reject(new Error('it must not'));
  a.hold(1);
  await expect(save.commit(a)).rejects.toThrow('it must not');
  await expect(save.commit(a)).rejects.toMatchObject({ code: 'ERR_FAILED' });
});
