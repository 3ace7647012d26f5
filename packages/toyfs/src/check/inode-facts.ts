/**
 * InodeFacts: what the walk has to remember of each inode between its passes: 15 bytes, kept in pages,
 * so that a part of the tables that is not in use costs nothing.
 */

/** Inodes of a page. */
const PAGE = 1024;

interface Page {
  readonly types: Uint8Array;
  readonly links: Uint16Array;
  readonly names: Uint32Array;
  readonly parents: Uint32Array;
  readonly dotDots: Uint32Array;
}

/** `type` of an inode that holds the value of an xattr, and needs no name. */
export const TYPE_VALUE = 8;
/** `type` of an inode in use whose mode has no type. */
export const TYPE_NONE = 9;

/** See the head of the file. */
export class InodeFacts {
  readonly #pages = new Map<number, Page>();
  /** Half-removed files: in use although they have no names. */
  readonly orphans: Set<number> = new Set();

  /** Notes an inode in use: its type as names have it, and how many names it says it has. */
  add(ino: number, type: number, links: number): void {
    const page = this.#page(ino);
    page.types[ino % PAGE] = type;
    page.links[ino % PAGE] = links;
  }

  /** 0: not in use. */
  type(ino: number): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.types[ino % PAGE] ?? 0;
  }

  links(ino: number): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.links[ino % PAGE] ?? 0;
  }

  /** Names that were found. */
  names(ino: number): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.names[ino % PAGE] ?? 0;
  }

  addName(ino: number): void {
    const page = this.#page(ino);
    page.names[ino % PAGE] = (page.names[ino % PAGE] as number) + 1;
  }

  /** The directory with the name of a directory; 0: none was found. */
  parent(ino: number): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.parents[ino % PAGE] ?? 0;
  }

  setParent(ino: number, parent: number): void {
    this.#page(ino).parents[ino % PAGE] = parent;
  }

  /** Where `..` of a directory leads. */
  dotDot(ino: number): number {
    return this.#pages.get(Math.floor(ino / PAGE))?.dotDots[ino % PAGE] ?? 0;
  }

  setDotDot(ino: number, parent: number): void {
    this.#page(ino).dotDots[ino % PAGE] = parent;
  }

  /** Every inode in use, in order. */
  *all(): Generator<number> {
    for (const number of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const { types } = this.#pages.get(number) as Page;
      for (let i = 0; i < PAGE; i++) if (types[i] !== 0) yield number * PAGE + i;
    }
  }

  #page(ino: number): Page {
    const number = Math.floor(ino / PAGE);
    let page = this.#pages.get(number);
    if (page === undefined) {
      page = {
        types: new Uint8Array(PAGE),
        links: new Uint16Array(PAGE),
        names: new Uint32Array(PAGE),
        parents: new Uint32Array(PAGE),
        dotDots: new Uint32Array(PAGE),
      };
      this.#pages.set(number, page);
    }
    return page;
  }
}
