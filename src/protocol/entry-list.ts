// The entries of a log as columns of numbers. An object for each would live until a checkpoint has what the entry did: long enough
// for the collector to move it twice and to keep it among what is old, where only a major collection ends it. So an entry is
// made an object for whoever asks, and is garbage when he has looked. The columns are cut into chunks, so that no log is too long
// to grow without a pause.

import { assert } from './assert.js';
import type { Entry, EntryKind } from './message.js';
import type { Chain } from './types.js';

const CHUNK_SHIFT = 10;
const CHUNK: number = 1 << CHUNK_SHIFT;
const CHUNK_MASK: number = CHUNK - 1;
/** Most logs of a simulation are short. */
const FIRST_CAPACITY = 8;
/** Chunks kept for reuse; more are left to the collector. */
const SPARE_MAX = 8;

// Of the numbers of an entry, in their order.
const NUMBERS = 9;
const OP = 0;
const EPOCH = 1;
const VIEW = 2;
const TS = 3;
const SEED = 4;
const KIND = 5;
const COUNT = 6;
const FROM = 7;
const LENGTH = 8;

const KINDS: readonly EntryKind[] = ['batch'];
const CHAIN_WORDS = 4;
const NO_MEMORY = new Uint8Array(0);

class Chunk {
  numbers: Float64Array;
  chains: Int32Array;
  /** What a body lies in: a segment of the arena, or an array of its own. */
  memory: Uint8Array[];

  constructor(capacity: number) {
    this.numbers = new Float64Array(capacity * NUMBERS);
    this.chains = new Int32Array(capacity * CHAIN_WORDS);
    this.memory = new Array<Uint8Array>(capacity).fill(NO_MEMORY);
  }

  get capacity(): number {
    return this.memory.length;
  }

  /** A copy of its first `length` entries, with room for so many at least. */
  copy(length: number, capacity: number): Chunk {
    const copy = new Chunk(Math.max(length, capacity));
    copy.numbers.set(this.numbers.subarray(0, length * NUMBERS));
    copy.chains.set(this.chains.subarray(0, length * CHAIN_WORDS));
    for (let at = 0; at < length; at++) copy.memory[at] = this.memory[at] as Uint8Array;
    return copy;
  }
}

export class EntryList implements Iterable<Entry> {
  #chunks: Chunk[] = [];
  readonly #spare: Chunk[] = [];
  /** Place of the first entry in the first chunk. */
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** `index` from 0 for the oldest. @returns a record made for the caller; its body views what `push` was given. */
  get(index: number): Entry {
    const { numbers, chains, memory } = this.#chunkOf(index);
    const place = this.#placeOf(index);
    const at = place * NUMBERS;
    const from = numbers[at + FROM] as number;
    const length = numbers[at + LENGTH] as number;
    const bytes = memory[place] as Uint8Array;
    return {
      op: numbers[at + OP] as number,
      epoch: numbers[at + EPOCH] as number,
      view: numbers[at + VIEW] as number,
      ts: numbers[at + TS] as number,
      seed: numbers[at + SEED] as number,
      kind: KINDS[numbers[at + KIND] as number] as EntryKind,
      count: numbers[at + COUNT] as number,
      body: length === bytes.length ? bytes : bytes.subarray(from, from + length),
      chain: chainOf(chains, place),
    };
  }

  chainAt(index: number): Chain {
    return chainOf(this.#chunkOf(index).chains, this.#placeOf(index));
  }

  tsAt(index: number): number {
    return this.#chunkOf(index).numbers[this.#placeOf(index) * NUMBERS + TS] as number;
  }

  bodyBytesAt(index: number): number {
    return this.#chunkOf(index).numbers[this.#placeOf(index) * NUMBERS + LENGTH] as number;
  }

  /** `segment`: where the body lies, if it is not an array of its own. */
  push(entry: Entry, segment: Uint8Array): void {
    const end = this.#first + this.#length;
    const place = end & CHUNK_MASK;
    const { numbers, chains, memory } = this.#chunkFor(end >>> CHUNK_SHIFT, place);
    const { body, chain } = entry;
    const within = body.buffer === segment.buffer;
    const at = place * NUMBERS;
    numbers[at + OP] = entry.op;
    numbers[at + EPOCH] = entry.epoch;
    numbers[at + VIEW] = entry.view;
    numbers[at + TS] = entry.ts;
    numbers[at + SEED] = entry.seed;
    numbers[at + KIND] = KINDS.indexOf(entry.kind);
    numbers[at + COUNT] = entry.count;
    numbers[at + FROM] = within ? body.byteOffset - segment.byteOffset : 0;
    numbers[at + LENGTH] = body.length;
    for (let word = 0; word < CHAIN_WORDS; word++)
      chains[place * CHAIN_WORDS + word] = chain[word] as number;
    memory[place] = within ? segment : body;
    this.#length++;
  }

  /** Drops all but the first `length`. */
  truncate(length: number): void {
    assert(length >= 0 && length <= this.#length, 'a list is not truncated to more than it has');
    this.#forget(this.#first + length, this.#first + this.#length);
    this.#length = length;
    const chunks = Math.ceil((this.#first + length) / CHUNK);
    for (const chunk of this.#chunks.splice(chunks)) this.#keep(chunk);
  }

  /** Drops the first `count`. */
  drop(count: number): void {
    assert(count >= 0 && count <= this.#length, 'a list does not drop more than it has');
    this.#forget(this.#first, this.#first + count);
    const first = this.#first + count;
    this.#first = first & CHUNK_MASK;
    this.#length -= count;
    for (const chunk of this.#chunks.splice(0, first >>> CHUNK_SHIFT)) this.#keep(chunk);
  }

  /** Entries are immutable: the copy shares their bodies. */
  clone(): EntryList {
    const copy = new EntryList();
    const end = this.#first + this.#length;
    copy.#chunks = this.#chunks.map((chunk, index) =>
      chunk.copy(Math.min(CHUNK, end - index * CHUNK), FIRST_CAPACITY),
    );
    copy.#first = this.#first;
    copy.#length = this.#length;
    return copy;
  }

  /** The chains of all, one behind the other: lists with equal ones hold the same. */
  chains(): Uint32Array {
    const words = new Uint32Array(this.#length * CHAIN_WORDS);
    for (let index = 0; index < this.#length; index++)
      words.set(this.chainAt(index), index * CHAIN_WORDS);
    return words;
  }

  *[Symbol.iterator](): Iterator<Entry> {
    for (let index = 0; index < this.#length; index++) yield this.get(index);
  }

  #chunkOf(index: number): Chunk {
    assert(index >= 0 && index < this.#length, 'no entry there');
    return this.#chunks[(this.#first + index) >>> CHUNK_SHIFT] as Chunk;
  }

  #placeOf(index: number): number {
    return (this.#first + index) & CHUNK_MASK;
  }

  /** The chunk of that number, with room at `place`. */
  #chunkFor(number: number, place: number): Chunk {
    const chunk = this.#chunks[number];
    if (chunk !== undefined && place < chunk.capacity) return chunk;
    const fresh =
      chunk === undefined
        ? (this.#spare.pop() ?? new Chunk(number === 0 ? FIRST_CAPACITY : CHUNK))
        : chunk.copy(chunk.capacity, Math.min(CHUNK, 2 * chunk.capacity));
    this.#chunks[number] = fresh;
    return fresh;
  }

  /** What is gone keeps no memory alive. */
  #forget(from: number, to: number): void {
    for (let at = from; at < to; at++)
      (this.#chunks[at >>> CHUNK_SHIFT] as Chunk).memory[at & CHUNK_MASK] = NO_MEMORY;
  }

  #keep(chunk: Chunk): void {
    if (chunk.capacity === CHUNK && this.#spare.length < SPARE_MAX) this.#spare.push(chunk);
  }
}

function chainOf(chains: Int32Array, place: number): Chain {
  const at = place * CHAIN_WORDS;
  return [
    chains[at] as number,
    chains[at + 1] as number,
    chains[at + 2] as number,
    chains[at + 3] as number,
  ];
}
