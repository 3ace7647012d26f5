/** Ages, such as the "2h" of `prod@2h`: a whole number and a unit. */

const MS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Milliseconds of an age such as "90s", "15m", "2h", "3d" or "1w"; undefined for other text. */
export function parseAge(text: string): number | undefined {
  const match = /^([0-9]+)([smhdw])$/i.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (MS[(match[2] ?? '').toLowerCase()] ?? Number.NaN);
}
