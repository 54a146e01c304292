// The real services as a state machine, with a memory: what was executed of each session, in which order, and a digest of
// everything that went in and came out, so that replicas can be compared at equal op-numbers without looking at their state.

import type {
  ApplyContext,
  PagedState,
  ResultSink,
  StateMachine,
} from '../protocol/state-machine.js';
import type { OpNumber, SessionNumber } from '../protocol/types.js';
import { JoinedPages, SerialisedPages } from '../service/serialised-pages.js';
import { Services } from '../service/services.js';
import { digest64 } from './seeded.js';

/** The pages themselves are compared at every op-number that is a multiple of this. */
const PAGES_EVERY = 64;
/** More than an entry holds (N3). */
const REQUESTS_PER_ENTRY = 8192;

export interface Executed {
  readonly digest: number;
  readonly place: number;
}

/** Where a request stands among all: by op-number, then by its index in the entry. */
export function placeOf(op: OpNumber, idx: number): number {
  return op * REQUESTS_PER_ENTRY + idx;
}

export class RecordingMachine implements StateMachine {
  readonly services: Services;
  /** Digest of each executed request and its place in the order of all, by session, in order of execution (I12). */
  readonly executed: Map<SessionNumber, Executed[]> = new Map();
  /** Digest of the pages after op `PAGES_EVERY * index`, from the first op on that this machine executed. */
  readonly pageDigests: Map<OpNumber, string> = new Map();
  readonly #word = new Uint32Array(2);
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  #lastOp = 0;

  readonly pages: PagedState;

  constructor(storeBytes: number, pageBytes = 256) {
    this.services = new Services({ storeBytes, pageBytes });
    const memory = new SerialisedPages({
      pageBytes,
      encode: () => this.#encode(),
      decode: (bytes) => this.#decode(bytes),
    });
    this.pages = new JoinedPages([this.services, memory]);
  }

  /** Words: the two halves of the summary, the last op, then each session, its count, and digest and place of each request. */
  #encode(): Uint8Array {
    const words = [this.#low, this.#high, this.#lastOp];
    for (const [session, executed] of this.executed) {
      words.push(session, executed.length);
      for (const { digest, place } of executed) words.push(digest, place);
    }
    return new Uint8Array(Float64Array.from(words).buffer);
  }

  #decode(bytes: Uint8Array): void {
    const words = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);
    const [low = 0, high = 0, lastOp = 0] = words;
    this.#low = low;
    this.#high = high;
    this.#lastOp = lastOp;
    this.executed.clear();
    for (let at = 3; at < words.length; ) {
      const [session = 0, count = 0] = words.subarray(at, at + 2);
      at += 2;
      const executed: Executed[] = [];
      for (let left = count; left > 0; left--, at += 2) {
        const [digest = 0, place = 0] = words.subarray(at, at + 2);
        executed.push({ digest, place });
      }
      this.executed.set(session, executed);
    }
  }

  apply(
    context: ApplyContext,
    bytes: Uint8Array,
    from: number,
    to: number,
    sink: ResultSink,
  ): void {
    const { op, idx, ts, seed, session } = context;
    if (op !== this.#lastOp) this.#begin(op);
    const before = sink.length;
    digest64(bytes, from, to, this.#word);
    const body = this.#word[0] as number;
    this.#mix(op);
    this.#mix(idx);
    this.#mix(ts % 2 ** 32);
    this.#mix(seed);
    this.#mix(body);
    let executed = this.executed.get(session);
    if (executed === undefined) {
      executed = [];
      this.executed.set(session, executed);
    }
    executed.push({ digest: body, place: placeOf(op, idx) });
    this.services.apply(context, bytes, from, to, sink);
    digest64(sink.bytes, before, sink.length, this.#word);
    this.#mix(this.#word[0] as number);
  }

  #begin(op: OpNumber): void {
    const boundary = op - 1 - ((op - 1) % PAGES_EVERY);
    if (boundary > 0 && boundary >= this.#lastOp)
      this.pageDigests.set(boundary, this.services.digest());
    this.#lastOp = op;
  }

  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void {
    this.services.read(bytes, from, to, sink);
  }

  /** Of all requests and results so far: equal histories, equal digests (I11). */
  get summary(): number {
    return (this.#low ^ this.#high) >>> 0;
  }

  /** Of the pages as well; takes longer. */
  digest(): string {
    return `${this.summary.toString(16)} ${this.services.digest()}`;
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul(this.#high ^ this.#low ^ (this.#low >>> 13), 0x85ebca6b) + 0x7f4a7c15;
  }
}
