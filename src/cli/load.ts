// Closed-loop load through one client: every slot keeps one request open and starts the next when it is answered. The same code
// runs on the main thread and on load threads. Every result is read, value by value, as a user would.

import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks';
import { VrError } from '../index.js';
import { VALUE_BYTES_MAX } from '../service/operation.js';
import { type LoadControl, PHASE_MEASURE, PHASE_WARM_UP } from './load-control.js';
import { GET, type OperationCalls, type OperationSink, type OperationSource } from './workload.js';

export type LoadApi = 'pipeline' | 'promise';

export interface LoadShape {
  readonly api: LoadApi;
  /** Requests kept open by one generator. */
  readonly slots: number;
  /** Operations per pipeline. */
  readonly batch: number;
}

/** A store with the shape of `Kv`, or something to compare it with. */
export interface LoadTarget<V> extends OperationCalls<V> {
  pipeline(): LoadPipeline<V>;
}

export interface LoadPipeline<V> extends OperationSink<V> {
  submit(): Promise<LoadAnswer>;
}

export interface LoadAnswer {
  ok(i: number): boolean;
  copyValue(i: number, target: Uint8Array): number;
  error(i: number): Error | undefined;
}

export interface StageResult {
  /** Operations answered. */
  operations: number;
  errors: number;
  firstError: string | null;
  /** Gets that found nothing. */
  misses: number;
  /** Bytes of values read: proof that the results were looked at. */
  bytesRead: number;
  /** Milliseconds since the epoch, with fractions. */
  startedAt: number;
  endedAt: number;
  /** Nanoseconds from submit to answer. */
  histogram: RecordableHistogram;
}

/** Of promises per operation one in so many is timed: reading the clock twice costs a tenth of such an operation. */
export const PROMISE_SAMPLE = 16;
/** Operations with promises between two reports. */
const REPORT_EVERY = 64;
const LATENCY_MOST_NS = 600e9;

export function latencyHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LATENCY_MOST_NS, figures: 3 });
}

export function recordSince(histogram: RecordableHistogram, startedAt: number): void {
  // record(0) throws, and above `highest` values are only counted.
  const nanoseconds = Math.round((performance.now() - startedAt) * 1e6);
  histogram.record(Math.min(LATENCY_MOST_NS, Math.max(1, nanoseconds)));
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Errors of one operation; any other says that the cluster takes no load. */
function isOperationError(error: unknown): boolean {
  return (
    VrError.is(error, 'VR_WRONG_TYPE') ||
    VrError.is(error, 'VR_OUT_OF_RANGE') ||
    VrError.is(error, 'VR_STORE_FULL')
  );
}

export class LoadGenerator<V> {
  readonly #target: LoadTarget<V>;
  readonly #source: OperationSource<V>;
  readonly #shape: LoadShape;
  readonly #control: LoadControl;
  readonly #index: number;
  /** Where values are copied to. */
  readonly #value = new Uint8Array(VALUE_BYTES_MAX);
  #answered = 0;

  constructor(options: {
    readonly target: LoadTarget<V>;
    readonly source: OperationSource<V>;
    readonly shape: LoadShape;
    readonly control: LoadControl;
    readonly index: number;
  }) {
    this.#target = options.target;
    this.#source = options.source;
    this.#shape = options.shape;
    this.#control = options.control;
    this.#index = options.index;
  }

  /** Walks through the phases of the control words. `quota`: operations to measure, Infinity: until the phase ends. */
  async run(quota: number): Promise<StageResult> {
    this.#control.arrive();
    await this.#control.reached(PHASE_WARM_UP);
    const warmUp = await this.#stage(PHASE_WARM_UP, Number.POSITIVE_INFINITY);
    this.#control.arrive();
    await this.#control.reached(PHASE_MEASURE);
    const result = await this.#stage(PHASE_MEASURE, quota);
    // Load that was refused before the measuring began is not measured: the refusal is what the run found.
    if (this.#control.failed) {
      result.errors += warmUp.errors;
      result.firstError ??= warmUp.firstError;
    }
    this.#control.arrive();
    return result;
  }

  async #stage(phase: number, quota: number): Promise<StageResult> {
    const stage: Stage = {
      phase,
      left: quota,
      result: {
        operations: 0,
        errors: 0,
        firstError: null,
        misses: 0,
        bytesRead: 0,
        startedAt: now(),
        endedAt: 0,
        histogram: latencyHistogram(),
      },
    };
    if (this.#shape.api === 'pipeline') {
      const slots = Array.from({ length: this.#shape.slots }, () => this.#pipelineSlot(stage));
      await Promise.all(slots);
    } else await this.#promiseSlots(stage);
    stage.result.endedAt = now();
    return stage.result;
  }

  #open(stage: Stage): boolean {
    return stage.left > 0 && this.#control.phase === stage.phase;
  }

  #report(operations: number): void {
    this.#answered += operations;
    this.#control.report(this.#index, this.#answered);
  }

  #fail(stage: Stage, error: unknown, operations: number): void {
    stage.result.errors += operations;
    stage.result.firstError ??= error instanceof Error ? error.message : String(error);
    if (isOperationError(error)) return;
    stage.left = 0;
    this.#control.fail();
  }

  async #pipelineSlot(stage: Stage): Promise<void> {
    const pipeline = this.#target.pipeline();
    const kinds = new Uint8Array(this.#shape.batch);
    const { result } = stage;
    while (this.#open(stage)) {
      const wanted = Math.min(this.#shape.batch, stage.left);
      const count = this.#source.fill(pipeline, wanted, kinds);
      if (count === 0) return;
      stage.left -= count;
      const startedAt = performance.now();
      try {
        const answer = await pipeline.submit();
        recordSince(result.histogram, startedAt);
        for (let index = 0; index < count; index++) {
          if (!answer.ok(index)) this.#fail(stage, answer.error(index), 1);
          else if (kinds[index] === GET) {
            const bytes = answer.copyValue(index, this.#value);
            if (bytes < 0) result.misses++;
            else result.bytesRead += bytes;
          }
        }
      } catch (error) {
        this.#fail(stage, error, count);
      }
      result.operations += count;
      this.#report(count);
    }
  }

  #promiseSlots(stage: Stage): Promise<void> {
    return new Promise((resolve) => {
      const { result } = stage;
      let live = this.#shape.slots;
      let issued = 0;
      const slot = (): (() => void) => {
        let startedAt = 0;
        const settle = (): void => {
          if (startedAt !== 0) {
            recordSince(result.histogram, startedAt);
            startedAt = 0;
          }
          result.operations++;
          if (result.operations % REPORT_EVERY === 0) this.#report(REPORT_EVERY);
          issue();
        };
        const done = (value: unknown): void => {
          if (value === undefined) result.misses++;
          else result.bytesRead += lengthOf(value);
          settle();
        };
        const failed = (error: unknown): void => {
          this.#fail(stage, error, 1);
          settle();
        };
        const issue = (): void => {
          const call = this.#open(stage) ? this.#source.call(this.#target) : null;
          if (call === null) {
            if (--live > 0) return;
            this.#report(result.operations % REPORT_EVERY);
            resolve();
            return;
          }
          stage.left--;
          if (issued++ % PROMISE_SAMPLE === 0) startedAt = performance.now();
          call.then(done, failed);
        };
        return issue;
      };
      const slots = Array.from({ length: live }, slot);
      for (const issue of slots) issue();
    });
  }
}

interface Stage {
  readonly phase: number;
  /** Operations still to start. */
  left: number;
  readonly result: StageResult;
}

function lengthOf(value: unknown): number {
  return value instanceof Uint8Array ? value.length : 1;
}
