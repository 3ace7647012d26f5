import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ERROR_TABLE, FsError, isFsError, mayAccess } from '../src/index.js';

describe('permissions', () => {
  const file = { mode: 0o640, uid: 10, gid: 20, type: 'file' as const };

  test('the first class that fits decides', () => {
    expect(mayAccess(file, { uid: 10, gids: [] }, 6)).toBe(true);
    expect(mayAccess(file, { uid: 11, gids: [20] }, 4)).toBe(true);
    expect(mayAccess(file, { uid: 11, gids: [20] }, 2)).toBe(false);
    expect(mayAccess(file, { uid: 11, gids: [21] }, 4)).toBe(false);
    // The owner is refused although others may.
    expect(mayAccess({ ...file, mode: 0o007 }, { uid: 10, gids: [20] }, 4)).toBe(false);
  });

  test('the superuser executes only what somebody may execute', () => {
    expect(mayAccess(file, { uid: 0, gids: [] }, 6)).toBe(true);
    expect(mayAccess(file, { uid: 0, gids: [] }, 1)).toBe(false);
    expect(mayAccess({ ...file, mode: 0o001 }, { uid: 0, gids: [] }, 1)).toBe(true);
    expect(mayAccess({ ...file, type: 'directory' }, { uid: 0, gids: [] }, 1)).toBe(true);
  });
});

describe('errors', () => {
  test.runIf(process.platform === 'linux')('have the numbers that Linux and Node give them', () => {
    const numbers: Record<string, number> = constants.errno;
    for (const [code, { errno }] of Object.entries(ERROR_TABLE)) {
      expect([code, errno]).toEqual([code, -(numbers[code] ?? Number.NaN)]);
    }
  });

  test('say their code', () => {
    const error = new FsError('ENOENT', 'there is no a');
    expect(isFsError(error, 'ENOENT')).toBe(true);
    expect(isFsError(error, 'EIO')).toBe(false);
    expect(isFsError(new Error('x'))).toBe(false);
    expect(error.errno).toBe(-2);
  });
});
