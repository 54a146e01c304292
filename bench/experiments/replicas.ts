// Transaction time against the number of replicas: the same load for every group, and as much load as each takes.

import { open } from 'viewstamp';
import type { LoadShape } from '#dist/cli/load.js';
import { measureCluster } from '#dist/cli/run.js';
import { median } from '#dist/cli/statistics.js';
import { formatCount, formatMicros } from '#dist/cli/units.js';
import { CANONICAL, type WorkloadShape } from '#dist/cli/workload.js';
import { type Round, roundOf } from '../cluster/contender.js';
import { PIPELINES } from '../cluster/replicated.js';
import { type Experiment, groupsOf, type InRound, inRounds, type Run } from './experiment.js';
import { PANEL, type Panel } from './figure.js';

type Load = 'same' | 'full' | 'same, later';

interface Row extends Omit<Round, 'operations'> {
  readonly replicas: number;
  readonly load: Load;
}

/** An even group needs one more for its quorum than the odd one below it, and survives no more. */
const GROUPS = [3, 5, 7, 9];
/** Every transaction goes through the log: reads would not. */
const WRITES: WorkloadShape = { ...CANONICAL, mix: { set: 100 } };
const PER_SECOND = 200;
const SINGLE: LoadShape = { api: 'promise', slots: 64, batch: 1 };
/** Far from full for every group: a write meets no other one, and between two writes the caller looks at the clock a while only. */
const SAME: LoadShape = {
  ...SINGLE,
  pace: { perSecond: PER_SECOND, backlog: PER_SECOND, generators: 1 },
};
/** The same load once more after the full one: what has been written by then must not matter. */
const LOADS: readonly (readonly [Load, LoadShape])[] = [
  ['same', SAME],
  ['full', PIPELINES],
  ['same, later', SAME],
];
/** Load of either kind before anything is measured: both have code of their own to compile. */
const SETTLE_MS = 800;
const SMOKE_SETTLE_MS = 20;

async function measureGroup(replicas: number, run: Run): Promise<Row[]> {
  const options = { name: 'experiment', replicas };
  await using cluster = await open(options);
  const rows: Row[] = [];
  const measure = async (load: LoadShape, warmUpMs: number, measureMs: number): Promise<Round> =>
    roundOf(
      await measureCluster(cluster, {
        open: options,
        load,
        source: { type: 'workload', shape: WRITES },
        threads: 0,
        warmUpMs,
        operations: null,
        durationMs: measureMs,
      }),
    );
  const settleMs = run.smoke ? SMOKE_SETTLE_MS : SETTLE_MS;
  for (const load of [PIPELINES, SINGLE]) await measure(load, settleMs, 1);
  for (const [name, load] of LOADS) {
    const { operations: _, ...round } = await measure(load, 100 * run.seconds, 1e3 * run.seconds);
    rows.push({ replicas, load: name, ...round });
  }
  return rows;
}

type Rows = readonly InRound<Row>[];

const medianOf = (
  rows: Rows,
  load: Load,
  figure: 'p50Us' | 'p99Us' | 'opsPerSecond' | 'cpuNsPerOp',
): number => median(rows.filter((row) => row.load === load).map((row) => row[figure]));

export const REPLICAS: Experiment<InRound<Row>> = {
  name: 'replicas',
  what: 'transaction time against the number of replicas',
  measure: (run) =>
    inRounds(
      run,
      run.smoke ? GROUPS.slice(0, 1) : GROUPS,
      (replicas) => `${replicas} replicas`,
      (replicas) => measureGroup(replicas, run),
    ),

  summarise: (rows) => ({
    head: [
      'replicas',
      `p50 at ${PER_SECOND} writes/s`,
      'p99',
      'p50 later / before',
      'p50 at full load',
      'p99',
      'writes/s',
      'CPU-ns per write',
      'and replica',
    ],
    rows: groupsOf(rows, ({ replicas }) => `${replicas}`).map((group) => {
      const replicas = group[0]?.replicas ?? 0;
      const cpuNs = medianOf(group, 'full', 'cpuNsPerOp');
      return [
        `${replicas}`,
        formatMicros(medianOf(group, 'same', 'p50Us')),
        formatMicros(medianOf(group, 'same', 'p99Us')),
        (medianOf(group, 'same, later', 'p50Us') / medianOf(group, 'same', 'p50Us')).toFixed(2),
        formatMicros(medianOf(group, 'full', 'p50Us')),
        formatMicros(medianOf(group, 'full', 'p99Us')),
        formatCount(medianOf(group, 'full', 'opsPerSecond')),
        cpuNs.toFixed(0),
        (cpuNs / replicas).toFixed(0),
      ];
    }),
  }),

  figure: (rows) => {
    const times = (load: Load, title: string): Panel => ({
      ...PANEL,
      title,
      transform: [
        { filter: { field: 'load', equal: load } },
        { calculate: 'datum.p50Us / 1000', as: 'p50' },
        { calculate: 'datum.p99Us / 1000', as: 'p99' },
        { fold: ['p50', 'p99'], as: ['percentile', 'ms'] },
      ],
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'replicas', type: 'ordinal', axis: { labelAngle: 0 } },
        y: {
          field: 'ms',
          aggregate: 'median',
          type: 'quantitative',
          title: 'transaction time, ms',
          scale: { zero: true },
        },
        color: { field: 'percentile', type: 'nominal', title: null },
      },
    });
    return {
      data: { values: [...rows] },
      hconcat: [
        times('same', `the same load: ${PER_SECOND} writes/s`),
        times('full', 'full load: 32 pipelines of 512 writes'),
        {
          ...PANEL,
          title: 'full load: CPU time of a write, all threads',
          transform: [{ filter: { field: 'load', equal: 'full' } }],
          mark: { type: 'line', point: true },
          encoding: {
            x: { field: 'replicas', type: 'ordinal', axis: { labelAngle: 0 } },
            y: {
              field: 'cpuNsPerOp',
              aggregate: 'median',
              type: 'quantitative',
              title: 'CPU-ns per write',
              scale: { zero: true },
            },
          },
        },
      ],
    };
  },
};
