// The interface that a deterministic service fulfils. The core calls it synchronously while it executes committed entries.

import type { ClientId, OpNumber, SessionNumber } from './types.js';

/** Where a service writes its result: append into `bytes` at `length`, after `reserve` made room. */
export interface ResultSink {
  /** Valid until the next `reserve`. */
  bytes: Uint8Array;
  /** Bytes written so far. */
  length: number;
  /** Makes room for `count` more bytes; `bytes` may be replaced. Returns the offset to write at (= `length`). */
  reserve(count: number): number;
}

/** All that a service may know besides its state and the operation (DT1). */
export interface ApplyContext {
  gen: number;
  op: OpNumber;
  /** Index of the request in its entry. */
  idx: number;
  /** Microseconds agreed through the log (DT2). */
  ts: number;
  /** Unsigned 32 bits agreed through the log (DT5). */
  seed: number;
  clientId: ClientId;
  session: SessionNumber;
}

/** New content of one list of pages: `count` pages in all, of which `pages` replace those of the image they are put into. */
export interface ListContent {
  readonly count: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
}

/**
 * State as lists of pages of one size (CP2), whose bytes depend on the applied history only. An *image* is the state after
 * one op; it is named by that op and stays what it was, whatever is executed later. Ops of images increase.
 */
export interface PagedState {
  /** Bytes of every page, a power of two from 256 on; the last one is padded with zeros. */
  readonly pageBytes: number;
  /** How many lists there are; never changes. */
  readonly lists: number;
  /** About the bytes of the present state, as far as they cost nothing to know; equal histories give equal numbers. */
  readonly liveBytes: number;
  /** Makes the present state image `op` (CP1): costs little, the bytes are copied when they are about to change. */
  freeze(op: OpNumber): void;
  /** Image `op` is not needed any more. */
  release(op: OpNumber): void;
  pageCount(op: OpNumber, list: number): number;
  /** A view of a page of image `op`, valid until something changes. */
  page(op: OpNumber, list: number, index: number): Uint8Array;
  /** False: the page is certainly the same as in the image frozen before `op`, which had it. */
  changed(op: OpNumber, list: number, index: number): boolean;
  /**
   * Replaces the present state by that of image `from` (null: of nothing) with the pages of `content`, one per list, put in.
   * No image is left afterwards.
   */
  restore(from: OpNumber | null, content: readonly ListContent[]): void;
}

/**
 * A deterministic service: the same calls in the same order give the same bytes on every replica (DT1). Whatever a
 * service throws ends the replica (DT4): errors that a user can cause are results.
 */
export interface StateMachine {
  /** Executes `bytes[from..to)`, one request, and appends its result to `sink`. */
  apply(context: ApplyContext, bytes: Uint8Array, from: number, to: number, sink: ResultSink): void;
  /** Answers `bytes[from..to)` from the present state without changing it. */
  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void;
  /** Its state in pages; null or left out: it has none, so there are no checkpoints and the log only grows. */
  readonly pages?: PagedState | null;
  /** Summary of the whole state as text; equal histories give equal digests (I11). */
  digest(): string;
}
