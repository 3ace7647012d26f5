/**
 * Tables of records in documents: a document about a format has a table for each record between two
 * marks, and a test compares them with the code's layouts, so that neither can change alone.
 */
import { fieldSize, type Layout } from '../layout.js';

/** How tables are printed. */
export interface TableOptions {
  /** How an offset is written. @default in decimal */
  readonly offset?: (offset: number) => string;
}

/**
 * The document with the table of every layout among `exports`, by its name, and of nothing else.
 * @throws {RangeError} when a layout has no section in the document.
 */
export function withTables(
  document: string,
  exports: Readonly<Record<string, unknown>>,
  options: TableOptions = {},
): string {
  let text = document;
  for (const [name, value] of Object.entries(exports)) {
    if (isLayout(value)) text = withSection(text, name, tableOf(value, options));
  }
  return text;
}

/**
 * The document with `content` between the marks of section `name`.
 * @throws {RangeError} when it has no such section.
 */
export function withSection(document: string, name: string, content: string): string {
  const start = `<!-- ${name} -->\n`;
  const from = document.indexOf(start);
  const to = document.indexOf(`<!-- end ${name} -->`);
  if (from < 0 || to < 0) throw new RangeError(`the document has no section for ${name}`);
  return `${document.slice(0, from + start.length)}${content}${document.slice(to)}`;
}

function isLayout(value: unknown): value is Layout {
  return typeof value === 'object' && value !== null && 'fields' in value;
}

function tableOf({ fields }: Layout, { offset: show = String }: TableOptions): string {
  const rows = fields.map(({ offset, name, type, meaning }) => {
    const kind = typeof type === 'number' ? 'bytes' : type;
    return `| ${show(offset)} | ${fieldSize(type)} | \`${name}\` | ${kind} | ${meaning} |\n`;
  });
  const head = '| Offset | Size | Field | Type | Meaning |\n| --- | --- | --- | --- | --- |\n';
  return head + rows.join('');
}
