/**
 * Goal: the kill -9 harness accuses exactly what is wrong. Method: small histories by hand, each with
 * an outcome that is allowed and one that is not.
 */
import { expect, test } from 'vitest';
import {
  allow,
  DeviceModel,
  History,
  parse,
  payload,
  SECTOR,
  snapshotFaults,
} from './lib/sector-model.mjs';

function world() {
  const history = new History();
  const device = new DeviceModel('prod', 4);
  const send = (first: number, count = 1, zero = false) => {
    const write = history.begin('prod', zero);
    device.issued(write, first, count);
    return write;
  };
  const answer = (write: ReturnType<typeof send>, first: number, count = 1, fua = false) => {
    write.answer = history.now();
    device.answered(write, first, count, fua);
  };
  const done = (first: number, count = 1, fua = false) => {
    const write = send(first, count);
    answer(write, first, count, fua);
    return write;
  };
  const flush = () => device.flushed(history.now());
  /** The device's content with sector 0 as given, and the rest never written. */
  const sector0 = (write?: ReturnType<typeof send>) => {
    const bytes = Buffer.alloc(4 * SECTOR);
    if (write !== undefined) payload(write, 0, 1).copy(bytes);
    return parse(bytes, 0, history);
  };
  return { history, device, send, answer, done, flush, sector0 };
}

test('before a flush a crash may keep or lose a write', () => {
  for (const kept of [true, false]) {
    const { device, done, sector0 } = world();
    const write = done(0);
    expect(device.recovered(sector0(kept ? write : undefined))).toEqual([]);
  }
});

test('M2 a flushed write is never lost, and nothing older comes back', () => {
  const { device, done, flush, sector0 } = world();
  const old = done(0);
  done(0);
  flush();
  expect(device.recovered(sector0(undefined))).toHaveLength(1);
  const other = world();
  const first = other.done(0);
  other.done(0);
  other.flush();
  expect(other.device.recovered(other.sector0(first))[0]).toMatch(/sector 0 holds write 1 of prod/);
  expect(old.id).toBe(1);
});

test('M2 a FUA write is durable when it is answered', () => {
  const { device, done, sector0 } = world();
  done(0, 1, true);
  expect(device.recovered(sector0(undefined))).toHaveLength(1);
});

test('M2 a flush does not cover what was answered after it was sent', () => {
  const { history, device, send, answer, sector0 } = world();
  const write = send(0);
  const invoke = history.now();
  answer(write, 0);
  device.flushed(invoke);
  expect(device.recovered(sector0(undefined))).toEqual([]);
});

test('a later write than the flushed one is allowed, also unanswered', () => {
  const { device, done, flush, send, sector0 } = world();
  done(0);
  flush();
  const later = send(0);
  expect(device.recovered(sector0(later))).toEqual([]);
});

test('M1 a read shows the last answered write; M3 writes that overlap go either way', () => {
  const { device, done, send, answer, sector0 } = world();
  const old = done(0);
  const a = send(0);
  const b = send(0);
  answer(a, 0);
  answer(b, 0);
  const may = device.visible[0] ?? [];
  expect(allow(sector0(a)[0] ?? {}, may, 0, 'read')).toBeUndefined();
  expect(allow(sector0(b)[0] ?? {}, may, 0, 'read')).toBeUndefined();
  expect(allow(sector0(old)[0] ?? {}, may, 0, 'read')).toMatch(/it may hold 2, 3/);
});

test('torn, foreign and misplaced bytes are told', () => {
  const { history, done, device } = world();
  const write = done(0, 2);
  const bytes = payload(write, 0, 2);
  expect(parse(bytes, 0, history).every(({ fault }) => fault === undefined)).toBe(true);
  expect(parse(bytes, 1, history)[0]?.fault).toMatch(/foreign/);
  bytes[300] = (bytes[300] ?? 0) ^ 1;
  expect(parse(bytes, 0, history)[0]?.fault).toMatch(/torn or foreign/);
  expect(parse(Buffer.alloc(SECTOR, 7), 0, history)[0]?.fault).toBe('bytes that nobody wrote');
  expect(device.recovered(parse(Buffer.alloc(4 * SECTOR, 7), 0, history))).toHaveLength(4);
});

test('write-zeroes counts as a write of zeros', () => {
  const { device, history, done, send, answer, sector0 } = world();
  done(0, 1, true);
  const zero = send(0, 1, true);
  answer(zero, 0, 1, true);
  expect(device.recovered(sector0(undefined))).toEqual([]);
  expect(parse(payload(zero, 0, 1), 0, history)[0]?.write).toBeUndefined();
});

test('zeros written while a read or a snapshot is under way are allowed', () => {
  const { device, history, done, send, sector0 } = world();
  done(0);
  const may = [...(device.visible[0] ?? [])];
  const since = { lastId: history.lastId, recent: device.recent };
  expect(allow(sector0()[0] ?? {}, may, 0, 'read', since)).toMatch(/holds zeros/);
  send(0, 1, true);
  expect(allow(sector0()[0] ?? {}, may, 0, 'read', since)).toBeUndefined();
  expect(allow(sector0()[0] ?? {}, may, 1, 'read', since)).toMatch(/holds zeros/);
});

test('M4 a snapshot is one instant', () => {
  const { device, history, done, send, answer } = world();
  const before = {
    visible: device.visible.map((list) => [...list]),
    lastId: history.lastId,
    recent: device.recent,
  };
  const first = done(0);
  const second = send(1);
  answer(second, 1);
  const content = (...writes: [number, typeof first][]) => {
    const bytes = Buffer.alloc(4 * SECTOR);
    for (const [sector, write] of writes) payload(write, sector, 1).copy(bytes, sector * SECTOR);
    return parse(bytes, 0, history);
  };
  expect(snapshotFaults(content(), before, 's')).toEqual([]);
  expect(snapshotFaults(content([0, first]), before, 's')).toEqual([]);
  expect(snapshotFaults(content([0, first], [1, second]), before, 's')).toEqual([]);
  expect(snapshotFaults(content([1, second]), before, 's')[0]).toMatch(/two instants/);
});

test('M1 what another device was written since is accused all the same', () => {
  const { history, device } = world();
  const since = { lastId: history.lastId, recent: device.recent };
  const other = history.begin('prod/b1', false);
  const [sector] = parse(payload(other, 0, 1), 0, history);
  expect(allow(sector, device.visible[0], 0, 'here', since)).toContain('write 1 of prod/b1');
});

test('sectors may be of another size', () => {
  const history = new History();
  const write = history.begin('prod', false);
  const bytes = payload(write, 3, 2, 4096);
  expect(bytes).toHaveLength(2 * 4096);
  expect(parse(bytes, 3, history, 4096)).toEqual([{ write }, { write }]);
  bytes[8191] ^= 1;
  expect(parse(bytes, 3, history, 4096)[1].fault).toContain('torn');
});
