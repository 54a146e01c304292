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

/**
 * A deterministic service: the same calls in the same order give the same bytes on every replica (DT1). Whatever a
 * service throws ends the replica (DT4): errors that a user can cause are results.
 */
export interface StateMachine {
  /** Executes `bytes[from..to)`, one request, and appends its result to `sink`. */
  apply(context: ApplyContext, bytes: Uint8Array, from: number, to: number, sink: ResultSink): void;
  /** Answers `bytes[from..to)` from the present state without changing it. */
  read(bytes: Uint8Array, from: number, to: number, sink: ResultSink): void;
  /** Summary of the whole state as text; equal histories give equal digests (I11). */
  digest(): string;
}
