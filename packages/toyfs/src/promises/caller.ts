/**
 * Caller: who calls, where relative paths start, and what the calls of one API share.
 */
import { Buffer } from 'node:buffer';
import type { Vfs } from '../vfs.js';
import { Descriptors } from './descriptors.js';
import type { FileHandle } from './file-handle.js';
import { Turns } from './turns.js';
import { User } from './user.js';
import { Walk } from './walk.js';

/** On whose behalf, and how, calls are made. */
export interface NodeFsOptions {
  /** The user that calls. @default 0, the superuser, who may do everything */
  readonly uid?: number;
  /** The user's group, which new inodes get. @default 0 */
  readonly gid?: number;
  /** More groups of the user. @default none */
  readonly groups?: readonly number[];
  /** Permission bits that new inodes do not get. @default 0o022 */
  readonly umask?: number;
  /** Where relative paths start. @default the root */
  readonly cwd?: string;
  /** `Stats.dev`: give each file system a number of its own where programs compare them. @default 0 */
  readonly dev?: number;
  /** Milliseconds since 1970. @default the system's clock */
  readonly now?: () => number;
  /** From 0 to below 1, for names of temporary directories. @default the system's chance */
  readonly random?: () => number;
  /** Waits, between attempts of `rm`. @default the system's timers */
  readonly wait?: (ms: number) => Promise<void>;
}

/** See the head of the file. */
export class Caller {
  readonly vfs: Vfs;
  readonly user: User;
  readonly walk: Walk;
  readonly umask: number;
  readonly cwd: string;
  readonly dev: number;
  readonly turns: Turns = new Turns();
  readonly descriptors: Descriptors<FileHandle> = new Descriptors();
  readonly now: () => number;
  readonly random: () => number;
  readonly wait: (ms: number) => Promise<void>;

  constructor(vfs: Vfs, options: NodeFsOptions = {}) {
    const { uid = 0, gid = 0, groups = [], umask = 0o022, cwd = '/', dev = 0 } = options;
    const { now = Date.now, random = Math.random, wait = sleep } = options;
    this.vfs = vfs;
    this.user = new User(uid, gid, groups);
    this.walk = new Walk(vfs, this.user, Buffer.from(cwd));
    this.umask = umask & 0o777;
    this.cwd = cwd;
    this.dev = dev;
    this.now = now;
    this.random = random;
    this.wait = wait;
  }

  /** What new inodes get. */
  owned(mode: number): { mode: number; uid: number; gid: number } {
    return { mode: mode & ~this.umask, uid: this.user.uid, gid: this.user.gid };
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
