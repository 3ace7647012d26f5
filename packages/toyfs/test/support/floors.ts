/**
 * The floors: how much is tried, and how much was. A floor runs as several processes, each with its
 * share (TOYFS_SHARE=1/2), and each adds what it did to a file (TOYFS_DONE).
 */
import { appendFileSync } from 'node:fs';

const [share, shares] = (process.env.TOYFS_SHARE ?? '1/1').split('/').map(Number) as [
  number,
  number,
];

/** Whether case `index` is one of this process's. */
export function isOurs(index: number): boolean {
  return index % shares === share - 1;
}

/** Adds to the count of a floor. */
export function done(floor: string, count: number): void {
  const file = process.env.TOYFS_DONE;
  if (file !== undefined) appendFileSync(file, `${floor} ${count}\n`);
}
