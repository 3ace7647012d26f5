/**
 * What paths do not show: open files, options, signals, and wrong arguments.
 */
import { constants as c } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnyFs, Case } from './world.js';

// biome-ignore lint/suspicious/noExplicitAny: the two sides have handles of their own classes
type AnyHandle = any;

/** On a file with "content of file", opened so; closed whatever happens. */
function onHandle(
  name: string,
  flags: string | number,
  act: (handle: AnyHandle, fs: AnyFs, at: (path: string) => string) => Promise<unknown>,
): Case {
  return {
    name: `handle ${flags}: ${name}`,
    run: async (fs, at) => {
      const handle = await fs.open(at('file'), flags);
      try {
        return await act(handle, fs, at);
      } finally {
        await handle.close();
      }
    },
  };
}

/** Calls that must be refused, each with its arguments. */
const WRONG: readonly (readonly [string, ...unknown[]])[] = [
  ...[undefined, null, 7, {}, [], true, 'a\0b', Buffer.from('a\0b'), () => 1].flatMap((path) =>
    [
      'readFile',
      'stat',
      'mkdir',
      'rm',
      'open',
      'readdir',
      'chmod',
      'access',
      'unlink',
      'opendir',
    ].map((name) => [name, path] as const),
  ),
  ['rename', 'a'],
  ['rename', null, 'b'],
  ['link', 'a', 5],
  ['symlink', {}, 'b'],
  ['copyFile', 'a'],
  ['copyFile', '/', '/', 8],
  ['copyFile', '/', '/', -1],
  ['cp', 'a', 'b', 'recursive'],
  ['cp', 'a', 'b', { recursive: 'yes' }],
  ['cp', 'a', 'b', { dereference: true, verbatimSymlinks: true }],
  ['cp', 'a', 'b', { filter: 1 }],
  ['cp', 'a', 'b', { mode: 9 }],
  ['open', 'a', 'q'],
  ['open', 'a', {}],
  ['open', 'a', 1.5],
  ['open', 'a', 2 ** 40],
  ['open', 'a', 'r', 'abc'],
  ['open', 'a', 'r', -1],
  ['open', 'a', 'r', 2 ** 33],
  ['readFile', 'a', 7],
  ['readFile', 'a', 'klingon'],
  ['readFile', 'a', { encoding: 'klingon' }],
  ['readFile', 'a', { flag: 'q' }],
  ['readFile', 'a', { signal: 'stop' }],
  ['readFile', 'a', { signal: AbortSignal.abort() }],
  ['writeFile', '/nowhere/a', 5],
  ['writeFile', '/nowhere/a', null],
  ['writeFile', '/nowhere/a', {}],
  ['writeFile', '/nowhere/a', 'x', { flush: 'yes' }],
  ['writeFile', '/nowhere/a', 'x', { mode: 'rwx' }],
  ['writeFile', '/nowhere/a', 'x', { signal: AbortSignal.abort() }],
  ['appendFile', '/nowhere/a', Symbol('s')],
  ['mkdir', 'a', { recursive: 1 }],
  ['mkdir', 'a', 'rwx'],
  ['mkdir', 'a', -1],
  ['mkdtemp', 7],
  ['chmod', '/', 'nine'],
  ['chmod', '/', -1],
  ['chmod', '/', 1.5],
  ['chmod', '/', undefined],
  ['chown', '/', 'me', 1],
  ['chown', '/', 1, -2],
  ['chown', '/', 1.5, 2],
  ['lchown', '/', 1, 2 ** 33],
  ['utimes', '/', 'now', 1],
  ['utimes', '/', 1, Number.NaN],
  ['utimes', '/', {}, 1],
  ['lutimes', '/', 1, Number.POSITIVE_INFINITY],
  ['truncate', '/', 'x'],
  ['readlink', '/', 'klingon'],
  ['realpath', '/', 9],
  ['rm', '/nowhere', { force: 'yes' }],
  ['rm', '/nowhere', { maxRetries: -1 }],
  ['rm', '/nowhere', { retryDelay: -1 }],
  ['rm', '/nowhere', null],
  ['rmdir', '/nowhere', { recursive: 5 }],
  ['lchmod', '/', 0o600],
  ['readdir', '/', 'klingon'],
  ['access', '/', 8],
  ['statfs', 5],
];

const wrongCases: readonly Case[] = WRONG.map(([name, ...args]) => ({
  name: `${name}(${args.map((arg) => shown(arg)).join(', ')})`,
  readsOnly: true,
  run: (fs) => fs[name as keyof AnyFs](...args),
}));

export const handleCases: readonly Case[] = [
  ...wrongCases,
  onHandle('read in every form', 'r', async (handle) => [
    await handle.read(Buffer.alloc(4), 0, 4, null),
    await handle.read({ buffer: Buffer.alloc(6), offset: 2, length: 3 }),
    await handle.read(Buffer.alloc(3), { position: 1 }),
    await handle.read(Buffer.alloc(2)),
    (await handle.read()).bytesRead,
    await handle.read(new Uint8Array(4), 1, 2, 0),
    await handle.read(Buffer.alloc(5), 0, 5, 100),
    await handle.read(Buffer.alloc(5), 0, 0, 0),
    await handle.read(Buffer.alloc(5), 0, 2, -3),
    await handle.read(new Uint16Array(3), 0, 4, 2),
  ]),
  ...[
    [Buffer.alloc(4), -1],
    [Buffer.alloc(4), 0, 5],
    [Buffer.alloc(4), 3, 3],
    [Buffer.alloc(4), 'x'],
    [Buffer.alloc(4), 1.5],
    [Buffer.alloc(0)],
    ['text'],
    [7],
    [{ buffer: 'text' }],
  ].map((args, i) => onHandle(`read wrongly ${i}`, 'r', (handle) => handle.read(...args))),
  onHandle('write in every form', 'r+', async (handle, fs, at) => [
    await handle.write('abc'),
    await handle.write(Buffer.from('DEFGH'), 1, 2),
    await handle.write(Buffer.from('xyz'), { offset: 1, position: 9 }),
    await handle.write('6162', 12, 'hex'),
    await handle.write(Buffer.from('--'), 0, 2, 20),
    await handle.write(new Uint16Array([0x4141, 0x4242])),
    await handle.write(Buffer.alloc(0)),
    await handle.write(''),
    await fs.readFile(at('file')),
  ]),
  ...[
    [5],
    [null],
    [{}],
    [Buffer.alloc(4), 5],
    [Buffer.alloc(4), 0, 5],
    [Buffer.alloc(4), -1],
    [Buffer.alloc(4), 0, -1],
    ['abc', null, 'hex'],
  ].map((args, i) => onHandle(`write wrongly ${i}`, 'r+', (handle) => handle.write(...args))),
  onHandle('vectors', 'r+', async (handle) => [
    await handle.writev([Buffer.from('one'), new Uint8Array([1, 2]), Buffer.from('')]),
    await handle.writev([Buffer.from('far')], 30),
    await handle.writev([]),
    await handle.readv([Buffer.alloc(2), Buffer.alloc(4)], 0),
    await handle.readv([Buffer.alloc(2), Buffer.alloc(100)]),
  ]),
  onHandle('wrong vectors', 'r+', (handle) => handle.writev(['text'])),
  onHandle('wrong vectors to read', 'r+', (handle) => handle.readv(5)),
  onHandle('appending goes to the end', 'a', async (handle, fs, at) => [
    await handle.write('+', 0),
    await handle.write(Buffer.from('more'), 0, 4, 2),
    await fs.readFile(at('file'), 'utf8'),
    await handle.read(Buffer.alloc(3)).catch((error: Error) => error.message),
  ]),
  onHandle('appending and reading', 'a+', async (handle) => [
    await handle.read(Buffer.alloc(3)),
    await handle.write('+'),
    await handle.read(Buffer.alloc(3)),
    await handle.read(Buffer.alloc(3), 0, 3, 0),
  ]),
  onHandle('reads what is only written', 'w', (handle) => handle.read(Buffer.alloc(1))),
  onHandle('readFile of what is only written', 'a', (handle) => handle.readFile()),
  onHandle('writes what is only read', 'r', (handle) => handle.write('x')),
  onHandle('writeFile of what is only read', 'r', (handle) => handle.writeFile('x')),
  onHandle('truncates what is only read', 'r', (handle) => handle.truncate(1)),
  onHandle('truncate', 'r+', async (handle, fs, at) => {
    await handle.read(Buffer.alloc(5));
    await handle.truncate(7);
    const short = await fs.readFile(at('file'), 'latin1');
    await handle.truncate(12);
    await handle.truncate(-4);
    await handle.truncate(2);
    return [short, await fs.readFile(at('file'), 'latin1')];
  }),
  onHandle('truncate wrongly', 'r+', (handle) => handle.truncate('x')),
  onHandle('whole files from the position', 'r+', async (handle, fs, at) => {
    await handle.read(Buffer.alloc(8));
    const rest = await handle.readFile('utf8');
    await handle.writeFile(' and more');
    await handle.appendFile(Buffer.from('!'));
    return [rest, await handle.readFile(), await fs.readFile(at('file'), 'utf8')];
  }),
  onHandle('attributes', 'r+', async (handle, fs, at) => {
    await handle.chmod('1640');
    await handle.utimes(1_000_000, new Date(2_000_000_000_000));
    await handle.chown(process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    await handle.sync();
    await handle.datasync();
    const { mtimeMs, mode } = await fs.stat(at('file'));
    return { mtimeMs, mode, stats: await handle.stat({ bigint: true }) };
  }),
  onHandle('wrong attributes', 'r', (handle) => handle.chmod('x')),
  onHandle('wrong owner', 'r', (handle) => handle.chown(1, 'x')),
  onHandle('wrong times', 'r', (handle) => handle.utimes('x', 1)),
  onHandle('stays after unlink', 'r+', async (handle, fs, at) => {
    await fs.unlink(at('file'));
    await fs.unlink(at('hard'));
    await handle.write('still');
    return [await handle.stat(), (await handle.readFile()).toString()];
  }),
  onHandle('lines', 'r', async (handle, fs, at) => {
    await fs.writeFile(at('file'), 'one\ntwo\r\nthree\n\nfive');
    const lines: string[] = [];
    for await (const line of handle.readLines()) lines.push(line);
    return lines;
  }),
  onHandle('streams', 'r+', async (handle) => {
    const parts: string[] = [];
    const stream = handle.createReadStream({
      start: 2,
      end: 8,
      highWaterMark: 3,
      autoClose: false,
    });
    for await (const part of stream) parts.push(String(part));
    return { parts, bytesRead: stream.bytesRead };
  }),
  onHandle('writing stream', 'r+', async (handle, fs, at) => {
    const stream = handle.createWriteStream({ start: 3, flush: true });
    stream.write('AB');
    stream.end('CD');
    await new Promise((resolve, reject) => stream.on('close', resolve).on('error', reject));
    return {
      written: stream.bytesWritten,
      now: await fs.readFile(at('file'), 'utf8'),
      fd: handle.fd,
    };
  }),
  onHandle('web stream', 'r', async (handle) => {
    const chunks: string[] = [];
    for await (const chunk of handle.readableWebStream())
      chunks.push(Buffer.from(chunk).toString());
    return chunks;
  }),
  onHandle('web stream of bytes', 'r', async (handle) => {
    const chunks: string[] = [];
    for await (const chunk of handle.readableWebStream({ type: 'bytes' })) {
      chunks.push(Buffer.from(chunk).toString());
    }
    return chunks.join('');
  }),
  ...[
    'read',
    'write',
    'stat',
    'sync',
    'datasync',
    'truncate',
    'chmod',
    'chown',
    'utimes',
    'readFile',
    'writeFile',
    'appendFile',
    'readv',
    'writev',
  ].map(
    (name): Case => ({
      name: `closed handle: ${name}`,
      run: async (fs, at) => {
        const handle = await fs.open(at('file'));
        let events = 0;
        handle.on('close', () => events++);
        await handle.close();
        await handle.close();
        const error = await handle[name](Buffer.from('x')).catch((each: Error) => each);
        return { fd: handle.fd, events, error: { ...error, message: error.message } };
      },
    }),
  ),
  {
    name: 'closing lets go after what was begun',
    run: async (fs, at) => {
      const handle = await fs.open(at('file'), 'r+');
      const writing = handle.write('begun');
      const closing = handle.close();
      return [await writing, await closing, await fs.readFile(at('file'), 'utf8')];
    },
  },
  {
    name: 'await using',
    run: async (fs, at) => {
      const handle = await fs.open(at('file'));
      await handle[Symbol.asyncDispose]();
      return handle.fd;
    },
  },
  {
    name: 'writeFile takes iterables, views and streams',
    run: async (fs, at) => {
      async function* slowly(): AsyncGenerator<string> {
        yield 'slow ';
        await sleep(1);
        yield 'and steady';
      }
      await fs.writeFile(at('a'), slowly());
      await fs.writeFile(at('b'), ['x', 'y', Buffer.from('z')]);
      await fs.writeFile(at('c'), new Uint16Array([0x4142, 0x4344]));
      await fs.writeFile(at('d'), 'ff00', 'hex');
      await fs.writeFile(at('e'), 'é', { encoding: 'latin1' });
      await fs.appendFile(at('e'), 'ü', 'utf8');
      await fs.writeFile(at('f'), new DataView(new ArrayBuffer(3)));
      return 'done';
    },
  },
  {
    name: 'writeFile of iterables with wrong pieces',
    run: (fs, at) => fs.writeFile(at('a'), [5]),
  },
  {
    name: 'large content',
    run: async (fs, at) => {
      const content = Buffer.alloc(1_500_000, 'abcdefg');
      await fs.writeFile(at('big'), content);
      const read = await fs.readFile(at('big'));
      const text = await fs.readFile(at('big'), 'latin1');
      await fs.copyFile(at('big'), at('copy'));
      return [content.equals(read), text.length, content.equals(await fs.readFile(at('copy')))];
    },
  },
  {
    name: 'writeFile hears a signal between parts',
    run: async (fs, at) => {
      const stop = new AbortController();
      function* parts(): Generator<string> {
        yield 'first';
        stop.abort();
        yield 'second';
      }
      return fs.writeFile(at('a'), parts(), { signal: stop.signal });
    },
  },
  {
    name: 'modes and the umask',
    run: async (fs, at) => {
      await fs.mkdir(at('d1'), 0o7777);
      await fs.writeFile(at('f1'), '', { mode: 0o777 });
      await (await fs.open(at('f2'), 'w', 0o4666)).close();
      await fs.mkdir(at('d2'), { mode: '0711' });
      await fs.chmod(at('d2'), 0o2770);
      await fs.mkdir(at('d2/inherits'));
      await fs.writeFile(at('d2/file'), '');
      return fs.stat(at('d2/inherits'));
    },
  },
  {
    name: 'Dir: read, close, callbacks and misuse',
    run: async (fs, at) => {
      const dir = await fs.opendir(at('full'), { encoding: 'buffer', bufferSize: 1 });
      const names = [(await dir.read()).name, (await dir.read()).name, (await dir.read()).name];
      const end = await dir.read();
      await new Promise((resolve) => dir.close(resolve));
      const after = await dir.close().catch((error: Error) => `${error}`);
      let thrown = '';
      try {
        dir.read();
      } catch (error) {
        thrown = `${error}`;
      }
      return { names: names.map(String).toSorted(), end, after, thrown };
    },
  },
  {
    name: 'Dir: recursive, and left early',
    run: async (fs, at) => {
      const names: string[] = [];
      for await (const { name, parentPath } of await fs.opendir(at('full'), { recursive: true })) {
        names.push(`${parentPath}/${name}`);
      }
      for await (const _ of await fs.opendir(at('full'))) break;
      return names.toSorted();
    },
  },
  {
    name: 'cp filters, keeps times and modes',
    run: async (fs, at) => {
      await fs.chmod(at('full/inner'), 0o440);
      await fs.utimes(at('full/inner'), 1000, 2000);
      const seen: string[] = [];
      await fs.cp(at('full'), at('copy'), {
        recursive: true,
        preserveTimestamps: true,
        filter: async (from: string, to: string) => {
          seen.push(`${from} ${to}`);
          return !from.endsWith('deep');
        },
      });
      return { seen: seen.toSorted(), time: (await fs.stat(at('copy/inner'))).mtimeMs };
    },
  },
  {
    name: 'copyFile flags',
    run: async (fs, at) => {
      await fs.copyFile(at('file'), at('a'), c.COPYFILE_EXCL);
      await fs.copyFile(at('file'), at('b'), c.COPYFILE_FICLONE);
      await fs.copyFile(at('other'), at('b'));
      return fs.copyFile(at('other'), at('b'), c.COPYFILE_EXCL);
    },
  },
  {
    name: 'names of bytes that are no text',
    run: async (fs, at) => {
      const path = Buffer.concat([Buffer.from(at('')), Buffer.from('/x\xff\xfe', 'latin1')]);
      await fs.writeFile(path, 'odd');
      const names = await fs.readdir(at(''), { encoding: 'buffer' });
      const found = names.filter((name: Buffer) => name.includes(0xff));
      const content = await fs.readFile(path, 'utf8');
      await fs.unlink(path);
      return [found, content];
    },
  },
];

function shown(arg: unknown): string {
  if (typeof arg === 'symbol' || typeof arg === 'function') return typeof arg;
  return JSON.stringify(arg)?.slice(0, 40) ?? 'undefined';
}
