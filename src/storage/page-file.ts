// Reads the file of an LMDB environment without LMDB, and believes nothing. LMDB maps the file and follows what it finds there:
// one flipped bit may make it read outside the map, loop, or take a page that is in use for a free one, and the whole process
// pays. So whatever LMDB would follow is checked here first (P3), by plain reads, which need no lock and change nothing.
//
// Format: LMDB data version 2 as lmdb-js writes it (little-endian, 64 bits). A page is
//   pgno u64 @0, txnid u64 @8, pad u16 @16, flags u16 @18, lower u16 @20, upper u16 @22 (overflow: pages u32 @20), data @24.
// A node is size-or-child u32 @0, flags u16 @4, key size u16 @6, key @8, data behind it.

import { fstatSync, readSync } from 'node:fs';

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const HEADER_BYTES = 24;
const NODE_HEADER_BYTES = 8;
/** Page number, transaction and number of pages of a value that lives in pages of its own. */
const OVERFLOW_REFERENCE_BYTES = 24;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const META = 0x08;
const BIG_DATA = 0x01;
/** LMDB's own limit; a deeper tree is a loop. */
const DEPTH_MAX = 32;
const META_BYTES = 168;
const FIRST_DATA_PAGE = 2;
const NO_ROOT = 0xffffffffffffffffn;
/** Flags of the tree of free pages: integer keys, and how the environment was opened. */
const FREE_TREE_FLAGS = 0x08;
const OPEN_FLAGS = 0x4000;

/** The file is not what LMDB wrote. The message says what and where. */
export class DamagedFile extends Error {
  override readonly name = 'DamagedFile';
}

function damaged(why: string): never {
  throw new DamagedFile(why);
}

interface Tree {
  readonly depth: number;
  readonly branches: number;
  readonly leaves: number;
  readonly overflows: number;
  readonly entries: number;
  /** null: empty */
  readonly root: number | null;
}

interface Meta {
  /** Number of the newest transaction. */
  readonly txnid: number;
  readonly pageBytes: number;
  readonly lastPage: number;
  readonly free: Tree;
  readonly main: Tree;
}

/** @param value `size` bytes from `at` of the file on, or nothing if not wanted; valid until the next call */
export type Visit = (key: Buffer, value: Buffer, at: number, size: number) => void;

export class PageFile {
  readonly #fd: number;
  readonly #bytes: number;
  readonly #meta: Meta;
  /** One bit per page: part of a tree. */
  readonly #used: Uint8Array;
  readonly #leaf: Buffer;
  #value: Buffer = Buffer.alloc(0);

  /** @throws {DamagedFile} */
  constructor(fd: number) {
    this.#fd = fd;
    this.#bytes = fstatSync(fd).size;
    this.#meta = this.#newestMeta();
    this.#used = new Uint8Array((this.#meta.lastPage >> 3) + 1);
    this.#leaf = Buffer.alloc(this.#meta.pageBytes);
  }

  get txnid(): number {
    return this.#meta.txnid;
  }

  /**
   * Checks everything that LMDB relies on, and shows every record in the order of its key. Call it once.
   * @param wanted whether to read the value of `key`
   * @throws {DamagedFile}
   */
  walk(visit: Visit, wanted: (key: Buffer) => boolean = () => true): void {
    const { main, free } = this.#meta;
    this.#walkTree('main', main, compareBytes, visit, wanted);
    const lists: Buffer[] = [];
    this.#walkTree(
      'free',
      free,
      compareIntegers,
      (key, value) => {
        if (key.length !== 8) damaged('a key of the free list is not a number');
        lists.push(Buffer.from(value));
      },
      () => true,
    );
    this.#checkFree(lists);
  }

  #read(target: Buffer, at: number, what: string): void {
    if (at + target.length > this.#bytes) damaged(`${what} lies behind the end of the file`);
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#fd, target, done, target.length - done, at + done);
      if (count === 0) damaged(`${what} cannot be read`);
      done += count;
    }
  }

  #newestMeta(): Meta {
    const head = Buffer.alloc(HEADER_BYTES + META_BYTES);
    this.#read(head, 0, 'the first page');
    const pageBytes = head.readUInt32LE(HEADER_BYTES + 24);
    if (pageBytes < 512 || pageBytes > 65536 || (pageBytes & (pageBytes - 1)) !== 0)
      damaged(`pages of ${pageBytes} bytes`);
    const first = parseMeta(head, 0, pageBytes);
    this.#read(head, pageBytes, 'the second page');
    const second = parseMeta(head, 1, pageBytes);
    // Transaction n writes page n mod 2, so two neighbours always stand here. Without this a flipped bit in the newer number
    // would silently show the older state.
    const fresh = first.txnid === 0 && second.txnid === 0;
    if (!fresh) {
      const aligned = first.txnid % 2 === 0 && second.txnid % 2 === 1;
      if (!aligned || Math.abs(first.txnid - second.txnid) !== 1)
        damaged(`transactions ${first.txnid} and ${second.txnid} in the first two pages`);
    }
    return first.txnid >= second.txnid ? first : second;
  }

  #use(page: number, count: number): void {
    if (page < FIRST_DATA_PAGE || page + count - 1 > this.#meta.lastPage)
      damaged(`page ${page}, of which there are ${this.#meta.lastPage + 1}`);
    for (let at = page; at < page + count; at++) {
      const bit = 1 << (at & 7);
      const byte = this.#used[at >> 3] as number;
      if (byte & bit) damaged(`page ${at} is used twice`);
      this.#used[at >> 3] = byte | bit;
    }
  }

  #walkTree(
    name: string,
    tree: Tree,
    compare: (a: Buffer, b: Buffer) => number,
    visit: Visit,
    wanted: (key: Buffer) => boolean,
  ): void {
    const counts = { branches: 0, leaves: 0, overflows: 0, entries: 0 };
    let previous: Buffer | null = null;

    const descend = (page: number, level: number, low: Buffer | null, high: Buffer | null) => {
      if (level > tree.depth) damaged(`the ${name} tree is deeper than ${tree.depth}`);
      const leaf = level === tree.depth;
      // One leaf is looked at at a time, of branches a whole path.
      const bytes = this.#page(page, leaf ? this.#leaf : Buffer.allocUnsafe(this.#leaf.length));
      const flags = bytes.readUInt16LE(18);
      if (flags !== (leaf ? LEAF : BRANCH)) damaged(`page ${page} has flags ${flags}`);
      if (leaf) counts.leaves++;
      else counts.branches++;
      const nodes = nodesOf(bytes, page, leaf);
      for (let index = 0; index < nodes.length; index++) {
        const at = nodes[index] as number;
        const key = bytes.subarray(at + 8, at + 8 + bytes.readUInt16LE(at + 6));
        if (leaf) {
          if (previous !== null && compare(previous, key) >= 0)
            damaged(`keys of page ${page} are out of order`);
          if (low !== null && compare(low, key) > 0) damaged(`a key of page ${page} is too low`);
          if (high !== null && compare(high, key) <= 0)
            damaged(`a key of page ${page} is too high`);
          counts.entries++;
          const size = bytes.readUInt32LE(at);
          const from = at + 8 + key.length;
          const show = wanted(key);
          if ((bytes.readUInt16LE(at + 4) & BIG_DATA) !== 0) {
            counts.overflows += this.#checkOverflow(bytes, from, size);
            const valueAt = safeInteger(bytes, from) * this.#meta.pageBytes + HEADER_BYTES;
            visit(key, show ? this.#valueAt(valueAt, size) : EMPTY, valueAt, size);
          } else {
            const valueAt = page * this.#meta.pageBytes + from;
            visit(key, show ? bytes.subarray(from, from + size) : EMPTY, valueAt, size);
          }
          previous = Buffer.from(key);
        } else {
          const child = bytes.readUInt32LE(at) + bytes.readUInt16LE(at + 4) * 2 ** 32;
          const next = nodes[index + 1];
          const above =
            next === undefined
              ? high
              : bytes.subarray(next + 8, next + 8 + bytes.readUInt16LE(next + 6));
          const below = index === 0 ? low : key;
          if (below !== null && above !== null && compare(below, above) >= 0)
            damaged(`keys of page ${page} are out of order`);
          descend(child, level + 1, below, above);
        }
      }
    };

    if (tree.root !== null) {
      if (tree.depth < 1 || tree.depth > DEPTH_MAX)
        damaged(`a ${name} tree of depth ${tree.depth}`);
      descend(tree.root, 1, null, null);
    } else if (tree.depth !== 0) damaged(`the ${name} tree of depth ${tree.depth} has no root`);
    for (const [what, count] of Object.entries(counts))
      if (count !== tree[what as keyof typeof counts])
        damaged(
          `the ${name} tree has ${count} ${what}, and should have ${tree[what as keyof typeof counts]}`,
        );
  }

  #page(page: number, bytes: Buffer): Buffer {
    this.#use(page, 1);
    this.#read(bytes, page * this.#meta.pageBytes, `page ${page}`);
    this.#checkHeader(bytes, page);
    return bytes;
  }

  #checkHeader(bytes: Buffer, page: number): void {
    if (safeInteger(bytes, 0) !== page) damaged(`page ${page} says that it is another one`);
    if (safeInteger(bytes, 8) > this.#meta.txnid) damaged(`page ${page} is from the future`);
    if (bytes.readUInt16LE(16) !== 0) damaged(`page ${page} has fixed keys`);
  }

  /** @returns how many pages it takes. */
  #checkOverflow(bytes: Buffer, reference: number, size: number): number {
    const page = safeInteger(bytes, reference);
    const pages = safeInteger(bytes, reference + 16);
    const { pageBytes } = this.#meta;
    // There may be more than it takes: a shorter value is put in the place of a longer one of the same transaction.
    if (pages < Math.ceil((HEADER_BYTES + size) / pageBytes) || pages > this.#meta.lastPage)
      damaged(`a value of ${size} bytes in ${pages} pages`);
    this.#use(page, pages);
    if ((page + pages) * pageBytes > this.#bytes) damaged(`page ${page} lies behind the end`);
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    this.#read(header, page * pageBytes, `page ${page}`);
    this.#checkHeader(header, page);
    if (header.readUInt16LE(18) !== OVERFLOW || header.readUInt32LE(20) !== pages)
      damaged(`page ${page} is not the value it should be`);
    return pages;
  }

  #valueAt(at: number, size: number): Buffer {
    if (this.#value.length < size) this.#value = Buffer.allocUnsafe(Math.max(size, 1 << 16));
    const value = this.#value.subarray(0, size);
    this.#read(value, at, 'a value');
    return value;
  }

  /** A list is its length and then page numbers; a negative number is the length of the run that the next one begins. */
  #checkFree(lists: readonly Buffer[]): void {
    for (const list of lists) {
      if (list.length < 8) damaged('a free list without a length');
      const length = safeInteger(list, 0);
      if ((length + 1) * 8 > list.length) damaged(`a free list of ${length}, which is too long`);
      for (let index = 1; index <= length; index++) {
        let run = 1;
        let page = Number(list.readBigInt64LE(index * 8));
        if (page === 0) continue;
        if (page < 0) {
          run = -page;
          index++;
          if (index > length) damaged('a free list ends within a run');
          page = Number(list.readBigInt64LE(index * 8));
        }
        if (page < 0) damaged('two lengths in a free list');
        this.#use(page, run);
      }
    }
  }
}

const EMPTY = Buffer.alloc(0);

function safeInteger(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  if (high >= 2 ** 21) damaged('a number beyond 2^53');
  return high * 2 ** 32 + bytes.readUInt32LE(at);
}

function parseMeta(bytes: Buffer, page: number, pageBytes: number): Meta {
  const at = HEADER_BYTES;
  const name = page === 0 ? 'first' : 'second';
  if (safeInteger(bytes, 0) !== page || bytes.readUInt16LE(18) !== META)
    damaged(`the ${name} page is not the head of an LMDB file`);
  if (bytes.readUInt32LE(at) !== MAGIC) damaged(`the ${name} page lacks LMDB's mark`);
  const version = bytes.readUInt32LE(at + 4);
  if (version !== DATA_VERSION) damaged(`LMDB data version ${version}, not ${DATA_VERSION}`);
  if (bytes.readBigUInt64LE(at + 8) !== 0n) damaged(`the ${name} page has a fixed address`);
  if (bytes.readUInt32LE(at + 24) !== pageBytes) damaged(`pages of two sizes`);
  const free = parseTree(bytes, at + 24);
  const main = parseTree(bytes, at + 72);
  if ((bytes.readUInt16LE(at + 28) & ~OPEN_FLAGS) !== FREE_TREE_FLAGS)
    damaged(`flags ${bytes.readUInt16LE(at + 28)} in the ${name} page`);
  if (bytes.readUInt16LE(at + 76) !== 0 || bytes.readUInt32LE(at + 72) !== 0)
    damaged(`the ${name} page describes another kind of tree`);
  const lastPage = safeInteger(bytes, at + 120);
  if (lastPage < 1 || lastPage >= 2 ** 31) damaged(`${lastPage} pages`);
  const mapBytes = safeInteger(bytes, at + 16);
  if (mapBytes > 2 ** 47) damaged(`a map of ${mapBytes} bytes`);
  return { txnid: safeInteger(bytes, at + 128), pageBytes, lastPage, free, main };
}

function parseTree(bytes: Buffer, at: number): Tree {
  return {
    depth: bytes.readUInt16LE(at + 6),
    branches: safeInteger(bytes, at + 8),
    leaves: safeInteger(bytes, at + 16),
    overflows: safeInteger(bytes, at + 24),
    entries: safeInteger(bytes, at + 32),
    root: bytes.readBigUInt64LE(at + 40) === NO_ROOT ? null : safeInteger(bytes, at + 40),
  };
}

/**
 * Offsets of a page's nodes in the order of their keys; they fill its upper part without gaps. Two that overlap are found by
 * their keys.
 */
function nodesOf(bytes: Buffer, page: number, leaf: boolean): number[] {
  const lower = bytes.readUInt16LE(20);
  const upper = bytes.readUInt16LE(22);
  const room = bytes.length - HEADER_BYTES;
  if (lower % 2 !== 0 || lower > upper || upper > room) damaged(`page ${page} has no such bounds`);
  const count = lower >> 1;
  if (count < (leaf ? 1 : 2)) damaged(`page ${page} has ${count} nodes`);
  const nodes: number[] = [];
  let used = 0;
  for (let index = 0; index < count; index++) {
    const start = bytes.readUInt16LE(HEADER_BYTES + 2 * index);
    const at = HEADER_BYTES + start;
    if (start < upper || start + NODE_HEADER_BYTES > room)
      damaged(`page ${page} has a node outside its bounds`);
    const flags = bytes.readUInt16LE(at + 4);
    const keyBytes = bytes.readUInt16LE(at + 6);
    let size = NODE_HEADER_BYTES + keyBytes;
    if (leaf) {
      if ((flags & ~BIG_DATA) !== 0) damaged(`page ${page} has a node with flags ${flags}`);
      if (keyBytes === 0) damaged(`page ${page} has an empty key`);
      size += flags & BIG_DATA ? OVERFLOW_REFERENCE_BYTES : bytes.readUInt32LE(at);
    }
    if (start + size > room) damaged(`page ${page} has a node outside its bounds`);
    used += size + (size & 1);
    nodes.push(at);
  }
  if (used !== room - upper) damaged(`page ${page} has ${room - upper - used} bytes of no node`);
  return nodes;
}

function compareBytes(a: Buffer, b: Buffer): number {
  return a.compare(b);
}

function compareIntegers(a: Buffer, b: Buffer): number {
  return a.length === 8 && b.length === 8
    ? safeInteger(a, 0) - safeInteger(b, 0)
    : a.length - b.length;
}
