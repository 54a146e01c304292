// The entries of a log as columns of numbers. An object for each would live until a checkpoint has what the entry did: long enough
// for the collector to move it twice and to keep it among what is old, where only a major collection ends it. So an entry is
// made an object for whoever asks, and is garbage when he has looked. The columns are cut into chunks, so that no log is too long
// to grow without a pause.

import { assert } from './assert.js';
import type { Entry, EntryKind } from './message.js';
import type { Chain } from './types.js';
import { highWord, joinWords } from './words.js';

const CHUNK_SHIFT = 10;
const CHUNK: number = 1 << CHUNK_SHIFT;
const CHUNK_MASK: number = CHUNK - 1;
/** Most logs of a simulation are short. */
const FIRST_CAPACITY = 8;
/** Chunks kept for reuse; more are left to the collector. */
const SPARE_MAX = 8;

// Of the words of an entry, in their order.
const WORDS = 9;
const OP_HIGH = 0;
const OP_LOW = 1;
const EPOCH = 2;
const VIEW = 3;
const SEED = 4;
const KIND = 5;
const COUNT = 6;
const FROM = 7;
const LENGTH = 8;

const KINDS: readonly EntryKind[] = ['batch'];
const CHAIN_WORDS = 4;
const NO_MEMORY = new Uint8Array(0);

class Chunk {
  /** No doubles: what is read from a column of doubles stays one, wherever it goes. */
  words: Uint32Array;
  times: Float64Array;
  chains: Int32Array;
  /** What a body lies in: a segment of the arena, or an array of its own. */
  memory: Uint8Array[];

  constructor(capacity: number) {
    this.words = new Uint32Array(capacity * WORDS);
    this.times = new Float64Array(capacity);
    this.chains = new Int32Array(capacity * CHAIN_WORDS);
    this.memory = new Array<Uint8Array>(capacity).fill(NO_MEMORY);
  }

  get capacity(): number {
    return this.memory.length;
  }

  /** A copy of its first `length` entries, with room for so many at least. */
  copy(length: number, capacity: number): Chunk {
    const copy = new Chunk(Math.max(length, capacity));
    copy.words.set(this.words.subarray(0, length * WORDS));
    copy.times.set(this.times.subarray(0, length));
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
    const { words, times, chains, memory } = this.#chunkOf(index);
    const place = this.#placeOf(index);
    const at = place * WORDS;
    const from = words[at + FROM] as number;
    const length = words[at + LENGTH] as number;
    const bytes = memory[place] as Uint8Array;
    return {
      op: joinWords(words[at + OP_HIGH] as number, words[at + OP_LOW] as number),
      epoch: words[at + EPOCH] as number,
      view: words[at + VIEW] as number,
      ts: times[place] as number,
      seed: words[at + SEED] as number,
      kind: KINDS[words[at + KIND] as number] as EntryKind,
      count: words[at + COUNT] as number,
      body: length === bytes.length ? bytes : bytes.subarray(from, from + length),
      chain: chainOf(chains, place),
    };
  }

  chainAt(index: number): Chain {
    return chainOf(this.#chunkOf(index).chains, this.#placeOf(index));
  }

  tsAt(index: number): number {
    return this.#chunkOf(index).times[this.#placeOf(index)] as number;
  }

  bodyBytesAt(index: number): number {
    return this.#chunkOf(index).words[this.#placeOf(index) * WORDS + LENGTH] as number;
  }

  /** `segment`: where the body lies, if it is not an array of its own. */
  push(entry: Entry, segment: Uint8Array): void {
    const end = this.#first + this.#length;
    const place = end & CHUNK_MASK;
    const { words, times, chains, memory } = this.#chunkFor(end >>> CHUNK_SHIFT, place);
    const { body, chain } = entry;
    const within = body.buffer === segment.buffer;
    const at = place * WORDS;
    words[at + OP_HIGH] = highWord(entry.op);
    words[at + OP_LOW] = entry.op;
    words[at + EPOCH] = entry.epoch;
    words[at + VIEW] = entry.view;
    times[place] = entry.ts;
    words[at + SEED] = entry.seed;
    words[at + KIND] = KINDS.indexOf(entry.kind);
    words[at + COUNT] = entry.count;
    words[at + FROM] = within ? body.byteOffset - segment.byteOffset : 0;
    words[at + LENGTH] = body.length;
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
