/**
 * Reading sources without a compiler: which files the repository holds, and a source with its
 * comments (and, when asked, the insides of its strings) blanked out. Blanking keeps every line
 * break and every column, so that a position found in the blanked text is one in the file.
 */
import { execFileSync } from 'node:child_process';

/**
 * The files git knows or would take, relative to `root`, sorted. Ignored files are left out.
 * @param {string} root
 * @returns {string[]}
 */
export function repositoryFiles(root) {
  const listed = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const deleted = execFileSync('git', ['ls-files', '-d', '-z'], { cwd: root, encoding: 'utf8' });
  const gone = new Set(deleted.split('\0'));
  return [...new Set(listed.split('\0'))].filter((file) => file !== '' && !gone.has(file)).sort();
}

/** After one of these a slash starts a regular expression, not a division. */
const BEFORE_REGEXP =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|delete|void|throw))\s*$/;

/**
 * The source with comments replaced by spaces, and with `strings` also the insides of string and
 * regular-expression literals. Code inside `${}` of a template literal stays.
 * @param {string} source
 * @param {{ strings?: boolean }} [options]
 * @returns {string}
 */
export function blanked(source, options = {}) {
  const out = [...source];
  const blank = (from, to) => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  /** Depths of the braces at which a template literal goes on after `${}`. */
  const templates = [];
  let depth = 0;
  let i = 0;
  const text = (from, to) => {
    if (options.strings === true) blank(from, to);
  };
  const template = (from) => {
    let at = from;
    while (at < source.length && source[at] !== '`') {
      if (source[at] === '\\') at += 1;
      else if (source[at] === '$' && source[at + 1] === '{') {
        text(from, at);
        templates.push(depth);
        depth += 1;
        return at + 2;
      }
      at += 1;
    }
    text(from, at);
    return at + 1;
  };
  while (i < source.length) {
    const two = source.slice(i, i + 2);
    const char = source[i];
    if (two === '//') {
      const end = source.indexOf('\n', i);
      const to = end === -1 ? source.length : end;
      blank(i, to);
      i = to;
    } else if (two === '/*') {
      const end = source.indexOf('*/', i + 2);
      const to = end === -1 ? source.length : end + 2;
      blank(i, to);
      i = to;
    } else if (char === "'" || char === '"') {
      const to = literalEnd(source, i, char);
      text(i + 1, to - 1);
      i = to;
    } else if (char === '`') {
      i = template(i + 1);
    } else if (char === '/' && BEFORE_REGEXP.test(out.slice(Math.max(0, i - 40), i).join(''))) {
      const to = literalEnd(source, i, '/');
      text(i + 1, to - 1);
      i = to;
    } else {
      if (char === '{') depth += 1;
      if (char === '}') {
        depth -= 1;
        if (templates.at(-1) === depth) {
          templates.pop();
          i = template(i + 1);
          continue;
        }
      }
      i += 1;
    }
  }
  return out.join('');
}

/** The position after the literal that starts at `from`; a line's end closes an unclosed one. */
function literalEnd(source, from, quote) {
  let inClass = false;
  for (let i = from + 1; i < source.length; i++) {
    const char = source[i];
    if (char === '\\') i += 1;
    else if (char === '\n') return i;
    else if (quote === '/' && char === '[') inClass = true;
    else if (quote === '/' && char === ']') inClass = false;
    else if (char === quote && !inClass) return i + 1;
  }
  return source.length;
}

/**
 * The 1-based line of a position.
 * @param {string} source
 * @param {number} position
 */
export function lineOf(source, position) {
  let line = 1;
  for (let i = 0; i < position; i++) if (source.charCodeAt(i) === 10) line += 1;
  return line;
}
