#!/usr/bin/env node
/**
 * The program `pal`: says how many threads the system's pool shall have, and loads the command. The pool
 * takes the number when it is first used, which loading any module does: hence CommonJS, and hence first.
 */

/**
 * Threads for disks that do not answer from memory: enough that some are left for the others when several
 * of them hang. One that waits costs some 10 KiB.
 */
const THREADS = '64';

process.env.UV_THREADPOOL_SIZE ??= THREADS;
void import('./main.js');
