// Interleaved rounds: each piece is measured once per round by tinybench, and what counts is the median over the rounds. A machine that
// changes its speed for a minute then changes it for all pieces alike.

import { Bench, type Task } from 'tinybench';
import type { CapacityGate } from '#dist/cli/capacity.js';
import { processCpuNs } from '#dist/cli/cpu.js';
import { median, spread } from '#dist/cli/statistics.js';
import type { Piece, Started } from './piece.js';

export interface Effort {
  readonly rounds: number;
  /** Of each piece, once before the first round; ms. */
  readonly warmUpMs: number;
  /** Of each piece in each round, ms. */
  readonly timeMs: number;
  /** Calls of each piece that are made, to warm up and in each round, however long they take. */
  readonly callsLeast: number;
}

export const FULL_EFFORT: Effort = { rounds: 5, warmUpMs: 50, timeMs: 100, callsLeast: 5 };
export const SMOKE_EFFORT: Effort = { rounds: 1, warmUpMs: 0, timeMs: 2, callsLeast: 1 };

/** One piece in one round. */
export interface PieceRound {
  readonly calls: number;
  /** Median of the calls, per what is counted. */
  readonly ns: number;
  /** Of all threads of the process, per what is counted; null where only a part of a call is timed. */
  readonly cpuNs: number | null;
}

export interface Measured {
  readonly name: string;
  /** What is counted, per call. */
  readonly count: number;
  readonly bytes: number | null;
  /** Medians over the rounds. */
  readonly ns: number;
  readonly cpuNs: number | null;
  /** (largest - smallest) / median of the rounds. */
  readonly spread: number;
  readonly rounds: readonly PieceRound[];
}

export interface Measurement {
  readonly pieces: readonly Measured[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
}

interface Running {
  readonly piece: Piece;
  readonly started: Started;
  readonly task: Task;
  /** CPU time of the process while the calls of the present round ran. */
  cpuNs: number;
}

/** `begin` is told before each measurement how far the run is. @throws what a piece throws */
export async function measure(
  pieces: readonly Piece[],
  effort: Effort,
  gate: CapacityGate,
  begin: (done: number, what: string) => void = () => {},
): Promise<Measurement> {
  const bench = new Bench({
    time: effort.timeMs,
    iterations: effort.callsLeast,
    warmupTime: effort.warmUpMs,
    warmupIterations: effort.callsLeast,
    throws: true,
  });
  const running: Running[] = [];
  try {
    for (const piece of pieces) {
      begin(0, `starting ${piece.name}`);
      running.push(await start(piece, bench));
    }
    for (const { task } of running) await task.warmup();
    const capacity = [await gate.measure()];
    const rounds: PieceRound[][] = running.map(() => []);
    for (let round = 0; round < effort.rounds; round++) {
      bench.reset();
      for (const [at, one] of running.entries()) {
        begin((round + at / running.length) / effort.rounds, one.piece.name);
        await one.task.run();
        rounds[at]?.push(roundOf(one));
      }
      capacity.push(await gate.measure());
    }
    return { pieces: running.map((one, at) => summary(one, rounds[at] ?? [])), capacity };
  } finally {
    for (const { started } of running) await started.close?.();
  }
}

async function start(piece: Piece, bench: Bench): Promise<Running> {
  const started = await piece.start();
  const one = { cpuNs: 0 };
  bench.add(piece.name, () => started.run(), {
    // Without it tinybench finds out by one more call.
    async: false,
    beforeAll: () => {
      one.cpuNs = -processCpuNs();
    },
    afterAll: () => {
      one.cpuNs += processCpuNs();
    },
  });
  const task = bench.getTask(piece.name);
  if (task === undefined) throw new Error(`${piece.name} was not added`);
  return Object.assign(one, { piece, started, task });
}

function roundOf({ piece, started, task, cpuNs }: Running): PieceRound {
  const { result } = task;
  if (result.state !== 'completed') throw new Error(`${piece.name} did not finish`);
  const calls = result.latency.samplesCount;
  return {
    calls,
    ns: (result.latency.p50 * 1e6) / started.count,
    cpuNs: started.partly === true ? null : cpuNs / (calls * started.count),
  };
}

function summary({ piece, started }: Running, rounds: readonly PieceRound[]): Measured {
  const times = rounds.map(({ ns }) => ns);
  const cpu = rounds.flatMap(({ cpuNs }) => (cpuNs === null ? [] : [cpuNs]));
  return {
    name: piece.name,
    count: started.count,
    bytes: piece.bytes ?? null,
    ns: median(times),
    cpuNs: cpu.length === 0 ? null : median(cpu),
    spread: spread(times),
    rounds,
  };
}
