/**
 * Why toyfs does not pass a test of ZenFS's: what a person found out, by what the test says.
 */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [
    /^errors: (?:rename|link)$/,
    'wants a relative path told as an absolute one; Node tells it as it was given, and so do we',
  ],
  [
    /^directory: readdir returns Dirent recursively/,
    'wants `parentPath` absolute for a relative path; Node gives it as it was given, and so do we',
  ],
  [/^tempdir: mkdtempDisposable/, 'a function of Node 24'],
  [/watchFile/i, '`watchFile` asks again and again; `watch` tells'],
  [/lchmod/, 'links have no modes, as on Linux'],
  [/promises\.exists/, 'ZenFS has a `promises.exists`; Node and we do not'],
  [
    /Sync is not a function|sync is not supported/,
    'takes Sync forms, which toyfs does not have: its devices answer later',
  ],
];

/** The reason for a test, or what it said itself. */
export function reasonFor(file: string, name: string, said: string): string {
  const test = `${file.replace('.test.ts', '')}: ${name}`;
  return REASONS.find(([pattern]) => pattern.test(test) || pattern.test(said))?.[1] ?? said;
}
