// Pages for state that is small or knows no pages: the whole of it is written out at each freeze (CP2 allows that). And several
// such parts behind one front.

import { assert, violated } from '../protocol/assert.js';
import type { ListContent, PagedState } from '../protocol/state-machine.js';
import type { OpNumber } from '../protocol/types.js';

export interface Serialised {
  readonly pageBytes: number;
  /** The whole state; equal states give equal bytes. */
  encode(): Uint8Array;
  /** Replaces the state by what `encode` gave. */
  decode(bytes: Uint8Array): void;
}

const LENGTH_BYTES = 4;

/** One list: the length of the state in four bytes, then the state. */
export class SerialisedPages implements PagedState {
  readonly pageBytes: number;
  readonly lists = 1;
  readonly liveBytes = 0;
  readonly #state: Serialised;
  /** Pages by op, oldest first. */
  #images = new Map<OpNumber, readonly Uint8Array[]>();
  /** The image before each, as long as that is not older than the oldest. */
  readonly #before = new Map<OpNumber, readonly Uint8Array[]>();
  #newest: readonly Uint8Array[] | null = null;

  constructor(state: Serialised) {
    this.#state = state;
    this.pageBytes = state.pageBytes;
  }

  freeze(op: OpNumber): void {
    const state = this.#state.encode();
    const count = Math.ceil((LENGTH_BYTES + state.length) / this.pageBytes);
    const bytes = new Uint8Array(count * this.pageBytes);
    new DataView(bytes.buffer).setUint32(0, state.length, true);
    bytes.set(state, LENGTH_BYTES);
    const pages = Array.from({ length: count }, (_, page) =>
      bytes.subarray(page * this.pageBytes, (page + 1) * this.pageBytes),
    );
    if (this.#newest !== null) this.#before.set(op, this.#newest);
    this.#newest = pages;
    this.#images.set(op, pages);
  }

  release(op: OpNumber): void {
    this.#images.delete(op);
    this.#before.delete(op);
  }

  #image(op: OpNumber): readonly Uint8Array[] {
    const pages = this.#images.get(op);
    if (pages === undefined) violated(`there is no image of op ${op}`);
    return pages;
  }

  pageCount(op: OpNumber): number {
    return this.#image(op).length;
  }

  page(op: OpNumber, _list: number, index: number): Uint8Array {
    const page = this.#image(op)[index];
    if (page === undefined) violated(`image ${op} has no page ${index}`);
    return page;
  }

  changed(op: OpNumber, list: number, index: number): boolean {
    const before = this.#before.get(op)?.[index];
    const now = this.page(op, list, index);
    return before === undefined || now.some((byte, at) => byte !== before[at]);
  }

  restore(from: OpNumber | null, content: readonly ListContent[]): void {
    const [list] = content;
    if (!(list !== undefined && content.length === 1))
      violated(`content of ${content.length} lists`);
    const known = from === null ? [] : this.#image(from);
    const bytes = new Uint8Array(list.count * this.pageBytes);
    for (let index = 0; index < list.count; index++) {
      const page = list.pages.get(index) ?? known[index];
      if (!(page?.length === this.pageBytes)) violated(`page ${index} is missing`);
      bytes.set(page, index * this.pageBytes);
    }
    const length = new DataView(bytes.buffer).getUint32(0, true);
    if (!(LENGTH_BYTES + length <= bytes.length)) violated(`a state of ${length} bytes is cut off`);
    this.#state.decode(bytes.slice(LENGTH_BYTES, LENGTH_BYTES + length));
    this.#images = new Map();
    this.#before.clear();
    this.#newest = null;
  }
}

/** The lists of several parts, one after the other. */
export class JoinedPages implements PagedState {
  readonly pageBytes: number;
  readonly lists: number;
  readonly #places: readonly { readonly part: PagedState; readonly list: number }[];
  readonly #parts: readonly PagedState[];

  constructor(parts: readonly PagedState[]) {
    const [first] = parts;
    assert(first !== undefined, 'nothing to join');
    for (const part of parts) assert(part.pageBytes === first.pageBytes, 'pages of several sizes');
    this.pageBytes = first.pageBytes;
    this.#parts = parts;
    this.#places = parts.flatMap((part) =>
      Array.from({ length: part.lists }, (_, list) => ({ part, list })),
    );
    this.lists = this.#places.length;
  }

  get liveBytes(): number {
    return this.#parts.reduce((sum, part) => sum + part.liveBytes, 0);
  }

  #place(list: number): { readonly part: PagedState; readonly list: number } {
    const place = this.#places[list];
    if (place === undefined) violated(`there is no list ${list}`);
    return place;
  }

  freeze(op: OpNumber): void {
    for (const part of this.#parts) part.freeze(op);
  }

  release(op: OpNumber): void {
    for (const part of this.#parts) part.release(op);
  }

  pageCount(op: OpNumber, list: number): number {
    const place = this.#place(list);
    return place.part.pageCount(op, place.list);
  }

  page(op: OpNumber, list: number, index: number): Uint8Array {
    const place = this.#place(list);
    return place.part.page(op, place.list, index);
  }

  changed(op: OpNumber, list: number, index: number): boolean {
    const place = this.#place(list);
    return place.part.changed(op, place.list, index);
  }

  restore(from: OpNumber | null, content: readonly ListContent[]): void {
    if (content.length !== this.lists) violated(`content of ${content.length} lists`);
    let first = 0;
    for (const part of this.#parts) {
      part.restore(from, content.slice(first, first + part.lists));
      first += part.lists;
    }
  }
}
