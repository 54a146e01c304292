// Load through one client. In a closed loop every slot keeps one request open and starts the next when it is answered; with a pace
// requests start when they are due, as far as slots are free. The same code runs on the main thread and on load threads. Every
// result is read, value by value, as a user would.

import { createHistogram, performance, type RecordableHistogram } from 'node:perf_hooks';
import { VrError } from '../index.js';
import { VALUE_BYTES_MAX } from '../service/operation.js';
import { type LoadControl, PHASE_MEASURE, PHASE_WARM_UP } from './load-control.js';
import { type Backlog, CLOCK, type Clock, OpenLoop, type Pace, Schedule } from './pace.js';
import { GET, type OperationCalls, type OperationSink, type OperationSource } from './workload.js';

export type LoadApi = 'pipeline' | 'promise';

export interface LoadShape {
  readonly api: LoadApi;
  /** Requests kept open by one generator. */
  readonly slots: number;
  /** Operations per pipeline. */
  readonly batch: number;
  /** How often requests start; without it each slot starts the next one when the last is answered. */
  readonly pace?: Pace;
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
  /** Gives its memory back, where it can. */
  release?(): void;
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
  /** Nanoseconds from submit to answer; with a pace from when the request was due, those that were not sent in time included. */
  histogram: RecordableHistogram;
  backlog: Backlog;
}

/** Without a pace, of promises per operation one in so many is timed: reading the clock twice costs a tenth of such an operation. */
export const PROMISE_SAMPLE = 16;
/** Operations with promises between two reports. */
const REPORT_EVERY = 64;
const LATENCY_MOST_NS = 600e9;

export function latencyHistogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LATENCY_MOST_NS, figures: 3 });
}

export function recordSince(histogram: RecordableHistogram, startedAt: number): void {
  record(histogram, performance.now() - startedAt);
}

function record(histogram: RecordableHistogram, milliseconds: number): void {
  // record(0) throws, and above `highest` values are only counted.
  const nanoseconds = Math.round(milliseconds * 1e6);
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
  readonly #clock: Clock;
  /** Where values are copied to. */
  readonly #value = new Uint8Array(VALUE_BYTES_MAX);
  #answered = 0;

  constructor(options: {
    readonly target: LoadTarget<V>;
    readonly source: OperationSource<V>;
    readonly shape: LoadShape;
    readonly control: LoadControl;
    readonly index: number;
    readonly clock?: Clock;
  }) {
    this.#target = options.target;
    this.#source = options.source;
    this.#shape = options.shape;
    this.#control = options.control;
    this.#index = options.index;
    this.#clock = options.clock ?? CLOCK;
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
      issued: 0,
      reported: 0,
      result: {
        operations: 0,
        errors: 0,
        firstError: null,
        misses: 0,
        bytesRead: 0,
        startedAt: now(),
        endedAt: 0,
        histogram: latencyHistogram(),
        backlog: { dropped: 0, unsent: 0, most: 0 },
      },
    };
    const { pace } = this.#shape;
    if (pace === undefined) await this.#closedLoop(stage);
    else stage.result.backlog = await this.#openLoop(stage, pace);
    this.#report(stage.result.operations - stage.reported, stage);
    stage.result.endedAt = now();
    return stage.result;
  }

  #closedLoop(stage: Stage): Promise<void> {
    return new Promise((resolve) => {
      let live = this.#shape.slots;
      const next = (slot: Slot): void => {
        if (this.#isOpen(stage) && slot.start(null)) return;
        if (--live === 0) resolve();
      };
      for (const slot of this.#slots(stage, next)) next(slot);
    });
  }

  /** @returns its backlog, in operations. */
  async #openLoop(stage: Stage, pace: Pace): Promise<Backlog> {
    const { batch } = this.#shape;
    const intervalMs = (batch / pace.perSecond) * 1e3;
    const loop = new OpenLoop({
      // Generators take turns: together they keep an even pace as well.
      schedule: new Schedule({
        beginMs: this.#clock.now() + (intervalMs * this.#index) / pace.generators,
        intervalMs,
        count: Math.ceil(stage.left / batch),
      }),
      backlog: Math.ceil(pace.backlog / batch),
      clock: this.#clock,
      isOpen: () => this.#isOpen(stage),
      // Without an answer, but it was that slow at least.
      onUnsent: (waitedMs) => record(stage.result.histogram, waitedMs),
    });
    const slots = this.#slots(stage, (slot) => loop.release(slot));
    const { dropped, unsent, most } = await loop.run(slots);
    return { dropped: dropped * batch, unsent: unsent * batch, most: most * batch };
  }

  #isOpen(stage: Stage): boolean {
    return stage.left > 0 && this.#control.phase === stage.phase;
  }

  #report(operations: number, stage: Stage): void {
    stage.reported += operations;
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

  /** `done`: told when a slot has the answer to what it started. */
  #slots(stage: Stage, done: (slot: Slot) => void): Slot[] {
    const { api, slots: length } = this.#shape;
    if (api === 'pipeline')
      return Array.from({ length }, (_, index) => this.#pipelineSlot(stage, index, done));
    if (this.#source.remembers)
      return Array.from({ length }, (_, index) => this.#promiseSlot(stage, index, done));
    // Thousands of them would be memory that each answer fetches anew, and count as time of the store.
    return new Array<Slot>(length).fill(this.#promiseSlot(stage, 0, done));
  }

  #pipelineSlot(stage: Stage, index: number, done: (slot: Slot) => void): Slot {
    const pipeline = this.#target.pipeline();
    const kinds = new Uint8Array(this.#shape.batch);
    const exchange = async (count: number, startedAt: number): Promise<void> => {
      try {
        const answer = await pipeline.submit();
        record(stage.result.histogram, this.#clock.now() - startedAt);
        this.#read(stage, answer, kinds, count);
        answer.release?.();
      } catch (error) {
        this.#fail(stage, error, count);
      }
      stage.result.operations += count;
      this.#report(count, stage);
      done(slot);
    };
    const slot: Slot = {
      start: (dueAt) => {
        const wanted = Math.min(this.#shape.batch, stage.left);
        const count = this.#source.fill(pipeline, wanted, kinds, index);
        if (count === 0) return false;
        stage.left -= count;
        void exchange(count, dueAt ?? this.#clock.now());
        return true;
      },
    };
    return slot;
  }

  #read(stage: Stage, answer: LoadAnswer, kinds: Uint8Array, count: number): void {
    const { result } = stage;
    for (let index = 0; index < count; index++) {
      if (!answer.ok(index)) this.#fail(stage, answer.error(index), 1);
      else if (kinds[index] === GET) {
        const bytes = answer.copyValue(index, this.#value);
        if (bytes < 0) result.misses++;
        else result.bytesRead += bytes;
      }
    }
  }

  /** Makes handlers that take the time first. */
  #timer(stage: Stage, startedAt: number): <T>(handle: (what: T) => void) => (what: T) => void {
    return (handle) => (what) => {
      record(stage.result.histogram, this.#clock.now() - startedAt);
      handle(what);
    };
  }

  /** Any number of operations may be open in it, unless the source remembers what it got. */
  #promiseSlot(stage: Stage, index: number, done: (slot: Slot) => void): Slot {
    const { result } = stage;
    const settle = (): void => {
      result.operations++;
      if (result.operations % REPORT_EVERY === 0) this.#report(REPORT_EVERY, stage);
      done(slot);
    };
    const answered = (value: unknown): void => {
      if (value === undefined) result.misses++;
      else result.bytesRead += lengthOf(value);
      settle();
    };
    const failed = (error: unknown): void => {
      this.#fail(stage, error, 1);
      settle();
    };
    const slot: Slot = {
      start: (dueAt) => {
        const call = this.#source.call(this.#target, index);
        if (call === null) return false;
        stage.left--;
        if (dueAt === null && stage.issued++ % PROMISE_SAMPLE !== 0) call.then(answered, failed);
        else {
          const timed = this.#timer(stage, dueAt ?? this.#clock.now());
          call.then(timed(answered), timed(failed));
        }
        return true;
      },
    };
    return slot;
  }
}

/** Starts the next request when it is told to. */
interface Slot {
  /** `dueAt`: when its latency begins, null: now. @returns false when there are no more operations */
  start(dueAt: number | null): boolean;
}

interface Stage {
  readonly phase: number;
  /** Operations still to start. */
  left: number;
  /** Operations with a promise that were started, and no pace. */
  issued: number;
  /** Operations that the driver was told of. */
  reported: number;
  readonly result: StageResult;
}

function lengthOf(value: unknown): number {
  return value instanceof Uint8Array ? value.length : 1;
}
