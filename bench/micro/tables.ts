// The byte table beside a Map. Keys come in random order and lie as in a request, one behind the other. A Map is measured twice: with the
// very string objects that are in it, which is as fast as a Map gets, and as a store would have to use it, that makes the key and copies
// the value from and to bytes.

import { formatCount } from '#dist/cli/units.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import { Allocator } from '#dist/service/allocator.js';
import { ByteTable, hashKey } from '#dist/service/byte-table.js';
import { PagedHeap } from '#dist/service/paged-heap.js';
import { KEY_WORD, Records, recordBytes } from '#dist/service/record.js';
import { once, type Piece, type Scale, type Started } from './piece.js';

/** Keys of one call. */
const BATCH = 512;
const STORE_BYTES = 2 ** 31;
/** As far as a value may be rounded up to whole words when it is copied out. */
const COPY_SLACK = 3;
const { keyBytes, valueBytes } = CANONICAL;

/** Keys in random order, as bytes and as strings, and values to go with them. */
class Keys {
  readonly keys: readonly string[];
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly values: readonly Uint8Array[];
  readonly valueViews: readonly DataView[];
  /** In which order the keys come into a table: another one, or what is looked up next would lie next to it. */
  readonly insertion: readonly number[];
  #at = 0;

  constructor(keyspace: number) {
    const workload = new Workload({ ...CANONICAL, keyspace });
    this.keys = shuffled(workload.keys);
    this.bytes = Buffer.alloc(keyspace * keyBytes);
    this.keys.forEach((key, at) => {
      this.bytes.write(key, at * keyBytes, 'latin1');
    });
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    this.values = workload.values;
    this.valueViews = this.values.map(
      ({ buffer, byteOffset, length }) => new DataView(buffer, byteOffset, length),
    );
    this.insertion = shuffled([...this.keys.keys()]);
  }

  /** Where the next batch begins. */
  next(): number {
    const at = this.#at;
    this.#at = at + 2 * BATCH > this.keys.length ? 0 : at + BATCH;
    return at;
  }
}

/** The same order in every run. */
function shuffled<T>(items: readonly T[]): T[] {
  const list = [...items];
  let state = 1;
  for (let end = list.length - 1; end > 0; end--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const at = Math.floor((state / 2 ** 32) * (end + 1));
    [list[end], list[at]] = [list[at] as T, list[end] as T];
  }
  return list;
}

class Table {
  readonly #heap = new PagedHeap({ storeBytes: STORE_BYTES });
  readonly #allocator = new Allocator(this.#heap);
  readonly #table: ByteTable;
  readonly #records = new Records(this.#heap);
  readonly #keys: Keys;
  readonly #reply = new DataView(new ArrayBuffer(valueBytes.most + COPY_SLACK));
  #revision = 1;

  constructor(keys: Keys) {
    this.#keys = keys;
    const heap = this.#heap;
    this.#table = new ByteTable({ heap, allocator: this.#allocator, keyWord: KEY_WORD });
    // The longest value, so that every other one fits where it is.
    const longest = new DataView(new ArrayBuffer(valueBytes.most));
    for (const index of keys.insertion) this.#insert(index * keyBytes, longest);
  }

  #insert(keyAt: number, value: DataView): void {
    const { view } = this.#keys;
    const length = value.byteLength;
    const block = this.#allocator.allocate(recordBytes(keyBytes, length));
    if (block === 0) throw new Error('the heap is full');
    const revisions = { revision: this.#revision, created: this.#revision };
    this.#records.write(
      block,
      { view, keyAt, keyBytes },
      { view: value, from: 0, length },
      revisions,
    );
    if (!this.#table.insert(hashKey(view, keyAt, keyBytes), block))
      throw new Error('the heap is full');
  }

  #find(keyAt: number): number {
    const { view } = this.#keys;
    const record = this.#table.find(view, keyAt, keyBytes, hashKey(view, keyAt, keyBytes));
    if (record === 0) throw new Error('a key is not there');
    return record;
  }

  get(): void {
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++)
      this.#records.copyOut(this.#find(index * keyBytes), this.#reply, 0);
  }

  set(): void {
    const { valueViews } = this.#keys;
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++) {
      const value = valueViews[index % valueViews.length] as DataView;
      const record = this.#find(index * keyBytes);
      if (!this.#records.overwrite(record, value, 0, value.byteLength, this.#revision++))
        throw new Error('a value does not fit where the old one was');
    }
  }
}

class Mapped {
  readonly #keys: Keys;
  readonly #map = new Map<string, Uint8Array>();
  readonly #reply = new Uint8Array(valueBytes.most);

  constructor(keys: Keys) {
    this.#keys = keys;
    for (const index of keys.insertion)
      this.#map.set(
        keys.keys[index] as string,
        keys.values[index % keys.values.length] as Uint8Array,
      );
  }

  get(): void {
    const { keys } = this.#keys;
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++)
      if (this.#map.get(keys[index] as string) === undefined) throw new Error('a key is not there');
  }

  set(): void {
    const { keys, values } = this.#keys;
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++)
      this.#map.set(keys[index] as string, values[index % values.length] as Uint8Array);
  }

  #keyAt(index: number): string {
    return this.#keys.bytes.toString('latin1', index * keyBytes, (index + 1) * keyBytes);
  }

  getFromBytes(): void {
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++) {
      const value = this.#map.get(this.#keyAt(index));
      if (value === undefined) throw new Error('a key is not there');
      this.#reply.set(value);
    }
  }

  setFromBytes(): void {
    const { values } = this.#keys;
    const first = this.#keys.next();
    for (let index = first; index < first + BATCH; index++)
      this.#map.set(this.#keyAt(index), (values[index % values.length] as Uint8Array).slice());
  }
}

function started(run: () => void): Started {
  return { count: BATCH, run };
}

function tablesOf(keyspace: number): Piece[] {
  const keys = once(() => new Keys(keyspace));
  const table = once(() => new Table(keys()));
  const map = once(() => new Mapped(keys()));
  const name = (what: string): string => `table of ${formatCount(keyspace)} keys: ${what}`;
  return [
    { name: name('byte table, get'), start: () => started(() => table().get()) },
    { name: name('byte table, set'), start: () => started(() => table().set()) },
    { name: name('Map, get, same key objects'), start: () => started(() => map().get()) },
    { name: name('Map, set, same key objects'), start: () => started(() => map().set()) },
    { name: name('Map, get, from bytes'), start: () => started(() => map().getFromBytes()) },
    { name: name('Map, set, from bytes'), start: () => started(() => map().setFromBytes()) },
  ];
}

export function tables(scale: Scale): Piece[] {
  return scale.keyspaces.flatMap(tablesOf);
}
