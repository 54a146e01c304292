// The loops of assembly/index.ts at work: a WebAssembly memory that holds a heap, its page flags and room for one request and its
// answer, which are copied in and out. The memory grows with the heap; growing takes it from under every view of it, so whoever
// has views makes them anew.
//
//  memory   results and plans of the loops | request | answer | flags, a byte per page | heap

import { CODE } from './code.js';

interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

interface Loops {
  walk(from: number, to: number, count: number, reads: boolean): number;
  writes(
    at: number,
    count: number,
    heap: number,
    flags: number,
    pageShift: number,
    revision: number,
  ): number;
  reads(at: number, count: number, heap: number, out: number, outEnd: number): number;
}

// Of every runtime, but of no library of types that fits here.
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: { readonly env: { readonly memory: Memory } },
  ) => { readonly exports: unknown };
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => Memory;
};
declare function atob(text: string): string;

/** Of WebAssembly. */
const PAGE_BYTES: number = 64 << 10;
const PAGES_MAX: number = 64 << 10;

// Words in which the loops leave what they did.
const DONE = 0;
const ANSWERED = 1;
const WORDS = 2;

const REQUEST_AT = 1024;
const REQUEST_BYTES: number = 256 << 10;
/** Copying shared memory is by words where both sides stand alike in theirs, else by bytes. */
const WORD_MASK = 7;
const ANSWER_AT: number = REQUEST_AT + REQUEST_BYTES + 1024;
const ANSWER_BYTES: number = 256 << 10;
const FLAGS_AT: number = ANSWER_AT + ANSWER_BYTES;
/** The loops read up to so many bytes behind the heap. */
const BEHIND_BYTES = 128;

/** Below so many operations, and above so many bytes for each, copying a request in costs more than it saves. */
const OPERATIONS_MIN = 3;
const OPERATION_BYTES_MAX = 512;
const REST_MAX = 31;

/** Compiled once per thread. */
let compiled: object | null = null;

function moduleOf(): object {
  compiled ??= new WebAssembly.Module(Uint8Array.from(atob(CODE), (char) => char.charCodeAt(0)));
  return compiled;
}

export class Kernel {
  readonly flagsAt: number = FLAGS_AT;
  readonly heapAt: number;
  /** Operations that the last call walked over, or executed. */
  done = 0;
  readonly #memory: Memory;
  readonly #loops: Loops;
  readonly #pageShift: number;
  #bytes: Uint8Array;
  #results: Int32Array;
  /** From offsets in the request to addresses of its copy. */
  #moved = 0;
  /** Operations to let pass, and how many after the next call for nothing. */
  #rest = 0;
  #restNext = 0;

  /** @returns null where the heap or this runtime is not made for it: all can be done without. */
  static tryMake(heap: {
    readonly pages: number;
    readonly pageBytes: number;
    /** From units to pages. */
    readonly pageShift: number;
  }): Kernel | null {
    const heapAt = roundUp(FLAGS_AT + heap.pages);
    const maximum = roundUp(heapAt + heap.pages * heap.pageBytes + BEHIND_BYTES) / PAGE_BYTES;
    if (maximum > PAGES_MAX) return null;
    try {
      const memory = new WebAssembly.Memory({ initial: heapAt / PAGE_BYTES, maximum });
      const { exports } = new WebAssembly.Instance(moduleOf(), { env: { memory } });
      return new Kernel(memory, exports as Loops, heapAt, heap.pageShift);
    } catch {
      // No room in the address space, or no vectors.
      return null;
    }
  }

  private constructor(memory: Memory, loops: Loops, heapAt: number, pageShift: number) {
    this.heapAt = heapAt;
    this.#memory = memory;
    this.#loops = loops;
    this.#pageShift = pageShift;
    this.#bytes = new Uint8Array(memory.buffer);
    this.#results = new Int32Array(memory.buffer, 0, WORDS);
  }

  get buffer(): ArrayBuffer {
    return this.#memory.buffer;
  }

  /** Makes memory for so many bytes of heap: zeros, behind what is there. */
  growTo(heapBytes: number): void {
    const wanted = roundUp(this.heapAt + heapBytes + BEHIND_BYTES);
    this.#memory.grow((wanted - this.buffer.byteLength) / PAGE_BYTES);
    this.#bytes = new Uint8Array(this.buffer);
    this.#results = new Int32Array(this.buffer, 0, WORDS);
  }

  // ── requests ──

  /** Copies in what a request has of operations, `count` as it says. @returns false where that would not pay. */
  take(bytes: Uint8Array, from: number, to: number, count: number): boolean {
    const length = to - from;
    if (count < OPERATIONS_MIN || length > Math.min(count * OPERATION_BYTES_MAX, REQUEST_BYTES))
      return false;
    const at = REQUEST_AT + ((bytes.byteOffset + from) & WORD_MASK);
    this.#bytes.set(bytes.subarray(from, to), at);
    this.#moved = at - from;
    this.#rest = 0;
    this.#restNext = 0;
    return true;
  }

  /** Walks over the plain sets, or gets, that the request taken begins with. @returns where it stopped, after `done`. */
  walk(from: number, to: number, count: number, reads: boolean): number {
    const stopped = this.#loops.walk(from + this.#moved, to + this.#moved, count, reads);
    this.done = this.#results[DONE] as number;
    return stopped - this.#moved;
  }

  /**
   * Executes what it can of `count` operations of the request taken, the first at `at`; that one makes `revision`.
   * @returns where it stopped; `done` says how many it executed, all of them changes.
   */
  writes(at: number, count: number, revision: number): number {
    if (this.#rests()) return at;
    const { heapAt, flagsAt } = this;
    const from = at + this.#moved;
    const stopped = this.#loops.writes(from, count, heapAt, flagsAt, this.#pageShift, revision);
    this.#finish();
    return stopped - this.#moved;
  }

  /** The same for gets; `answer` are their answers, of at most `room` bytes. */
  reads(at: number, count: number, room: number): number {
    if (this.#rests()) return at;
    const end = ANSWER_AT + Math.min(room, ANSWER_BYTES);
    const stopped = this.#loops.reads(at + this.#moved, count, this.heapAt, ANSWER_AT, end);
    this.#finish();
    return stopped - this.#moved;
  }

  /** A view, valid until the next call. */
  get answer(): Uint8Array {
    return this.#bytes.subarray(ANSWER_AT, this.#results[ANSWERED]);
  }

  /** After calls for nothing it lets some operations pass: a call plans a whole group. */
  #rests(): boolean {
    this.done = 0;
    if (this.#rest === 0) return false;
    this.#rest--;
    return true;
  }

  #finish(): void {
    this.done = this.#results[DONE] as number;
    this.#restNext = this.done > 0 ? 0 : Math.min(this.#restNext * 2 + 1, REST_MAX);
    this.#rest = this.#restNext;
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}
