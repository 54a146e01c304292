// What takes part in a comparison, and what is told about it. Every contender runs the canonical workload, is started and warmed up
// once, then measures for the same time in every round.

import type { RunResult } from '#dist/cli/drive.js';
import { latencyOf } from '#dist/cli/statistics.js';

/**
 * Load on each contender before its first round. Four threads compile a thousand functions beside their work: in its first seconds
 * a cluster does a third of what it does later, and what is one thread without replication is fast at once.
 */
export const SETTLE_MS = 10_000;

/** Of a measurement that the host disturbs. */
export const ATTEMPTS = 3;

export interface RoundTimes {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export interface Round {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly cpuNsPerOp: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

/** Whatever can take part in an interleaved run; `R`: what it measures in a round. */
export interface Entrant<R = Round> {
  readonly name: string;
  start(): Promise<Running<R>>;
}

export interface Contender extends Entrant {
  readonly id: 'unreplicated' | 'replicas' | 'witness' | 'promise' | 'naive';
}

/** A contender with its threads up and its keys filled. */
export interface Running<R = Round> {
  /** Before the first round, instead of a round with a warm-up of so long. */
  readonly settle?: (milliseconds: number) => Promise<void>;
  round(times: RoundTimes): Promise<R>;
  close(): Promise<void>;
}

/** @throws when the run had errors: a comparison with failures in it compares nothing. */
export function roundOf(result: Omit<RunResult, 'backlog' | 'timeline'>): Round {
  if (result.errors > 0)
    throw new Error(`${result.errors} operations failed, the first with: ${result.firstError}`);
  if (result.misses > 0) throw new Error(`${result.misses} gets found nothing`);
  const latency = latencyOf(result.histogram);
  return {
    operations: result.operations,
    opsPerSecond: result.opsPerSecond,
    cpuNsPerOp: result.cpuNsPerOp,
    p50Us: latency.p50Us,
    p99Us: latency.p99Us,
  };
}
