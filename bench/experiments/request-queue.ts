// The smallest request queue before the store becomes unavailable: the limits of calls and entries in flight, shrunk under full load,
// and the limit of calls that wait, shrunk until calls are refused.

import { type OpenOptions, open } from 'viewstamp';
import { measureCluster } from '#dist/cli/run.js';
import { median } from '#dist/cli/statistics.js';
import { formatCount } from '#dist/cli/units.js';
import { CANONICAL } from '#dist/cli/workload.js';
import { roundOf } from '../cluster/contender.js';
import { PROMISES, PROMISES_IN_FLIGHT } from '../cluster/replicated.js';
import { type Experiment, groupsOf, type InRound, inRounds, type Run } from './experiment.js';
import { PANEL, type Panel } from './figure.js';
import { offer } from './offered.js';

interface Queue {
  readonly name: string;
  readonly options: (length: number) => OpenOptions;
  readonly most: number;
}

interface Row {
  readonly queue: string;
  readonly length: number;
  /** Writes called per second, whatever became of those before; null: a new one for each answer. */
  readonly rate: number | null;
  readonly opsPerSecond: number;
  readonly p50Us: number;
  readonly refusedShare: number;
}

const CALLS = 'callsInFlight';
const LENGTHS = [1, 4, 16, 64, 256, 1024, 4096];
/** Nothing is refused of them: what finds no room waits. */
const IN_FLIGHT: readonly Queue[] = [
  {
    name: CALLS,
    options: (length) => ({ limits: { callsInFlight: length } }),
    most: PROMISES_IN_FLIGHT,
  },
  {
    name: `${CALLS}, maxOps 1`,
    options: (length) => ({ limits: { callsInFlight: length }, batch: { maxOps: 1 } }),
    most: 64,
  },
  {
    name: 'batch.window',
    options: (length) => ({ batch: { window: length } }),
    most: 64,
  },
];
const WAITING: readonly Queue[] = [
  {
    name: 'callsWaiting',
    options: (length) => ({ limits: { callsWaiting: length } }),
    most: 1024,
  },
  {
    name: 'callsWaiting, 1 in flight',
    options: (length) => ({ limits: { callsWaiting: length, callsInFlight: 1 } }),
    most: 1024,
  },
];
const RATES = [1000, 10_000, 50_000];
const WARM_UP_SHARE = 0.5;

interface Point extends Queue {
  readonly length: number;
}

const pointsOf = (queue: Queue): Point[] =>
  LENGTHS.filter((length) => length <= queue.most).map((length) => ({ ...queue, length }));
const POINTS = [...IN_FLIGHT, ...WAITING].flatMap(pointsOf);
const SMOKE_POINTS = [IN_FLIGHT, WAITING].flatMap((queues) => queues.flatMap(pointsOf).slice(0, 1));

/** Somebody asks for more at every answer. */
async function fullLoad({ name, length, options }: Point, run: Run): Promise<Row[]> {
  await using cluster = await open(options(length));
  const result = await measureCluster(cluster, {
    open: options(length),
    load: PROMISES,
    source: { type: 'workload', shape: { ...CANONICAL, mix: { set: 100 } } },
    threads: 0,
    warmUpMs: 1e3 * run.seconds * WARM_UP_SHARE,
    operations: null,
    durationMs: 1e3 * run.seconds,
  });
  const { opsPerSecond, p50Us } = roundOf(result);
  return [{ queue: name, length, rate: null, opsPerSecond, p50Us, refusedShare: 0 }];
}

/** The time is dealt out to the rates. */
async function atRates({ name, length, options }: Point, run: Run): Promise<Row[]> {
  await using cluster = await open(options(length));
  const kv = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
  const ms = (1e3 * run.seconds) / RATES.length;
  await offer(kv, Math.max(...RATES), ms * WARM_UP_SHARE);
  const rows: Row[] = [];
  for (const rate of RATES) {
    const { offered, refused, answeredPerSecond, p50Us } = await offer(kv, rate, ms);
    const refusedShare = refused / offered;
    rows.push({ queue: name, length, rate, opsPerSecond: answeredPerSecond, p50Us, refusedShare });
  }
  return rows;
}

export const REQUEST_QUEUE: Experiment<InRound<Row>> = {
  name: 'request-queue',
  what: 'the smallest request queue before the store becomes unavailable',
  measure: (run) =>
    inRounds(
      run,
      run.smoke ? SMOKE_POINTS : POINTS,
      ({ name, length }) => `${name} = ${length}`,
      (point) =>
        WAITING.some(({ name }) => name === point.name)
          ? atRates(point, run)
          : fullLoad(point, run),
    ),

  summarise: (rows) => {
    const columns = [
      ...IN_FLIGHT.map(({ name }) => ({ name, rate: null, head: `${name}: writes/s` })),
      ...WAITING.flatMap(({ name }) =>
        RATES.map((rate) => ({ name, rate, head: `${name} at ${formatCount(rate)}/s` })),
      ),
    ];
    return {
      head: ['length', ...columns.map(({ head }) => head)],
      rows: groupsOf(
        rows.toSorted((one, other) => one.length - other.length),
        ({ length }) => `${length}`,
      ).map((group) => [
        formatCount(group[0]?.length ?? 0),
        ...columns.map(({ name, rate }) => {
          const measured = group.filter((row) => row.queue === name && row.rate === rate);
          if (measured.length === 0) return '-';
          return rate === null
            ? formatCount(median(measured.map(({ opsPerSecond }) => opsPerSecond)))
            : `${(100 * median(measured.map(({ refusedShare }) => refusedShare))).toFixed(1)} %`;
        }),
      ]),
    };
  },

  figure: (rows) => {
    const x = {
      field: 'length',
      type: 'quantitative',
      title: 'length of the queue',
      scale: { type: 'log', base: 4 },
      axis: { values: LENGTHS },
    } as const;
    const refusals = (queue: string, title: string): Panel => ({
      ...PANEL,
      title,
      transform: [
        { filter: { field: 'queue', equal: queue } },
        { calculate: '100 * datum.refusedShare', as: 'refused' },
        { calculate: "format(datum.rate, ',') + ' writes/s'", as: 'called' },
      ],
      mark: { type: 'line', point: true },
      encoding: {
        x,
        y: {
          field: 'refused',
          aggregate: 'median',
          type: 'quantitative',
          title: 'refused with VR_OVERLOADED, %',
          scale: { domain: [0, 100] },
        },
        color: { field: 'called', type: 'nominal', title: null, sort: { field: 'rate' } },
      },
    });
    return {
      data: { values: [...rows] },
      resolve: { scale: { color: 'independent' } },
      hconcat: [
        {
          ...PANEL,
          title: `full load: ${formatCount(PROMISES_IN_FLIGHT)} writes wanted at a time`,
          transform: [{ filter: 'datum.rate === null' }],
          mark: { type: 'line', point: true },
          encoding: {
            x,
            y: {
              field: 'opsPerSecond',
              aggregate: 'median',
              type: 'quantitative',
              title: 'writes/s',
              scale: { type: 'log' },
              axis: { format: '~s' },
            },
            color: { field: 'queue', type: 'nominal', title: null },
          },
        },
        ...WAITING.filter(({ name }) => rows.some(({ queue }) => queue === name)).map(({ name }) =>
          refusals(name, name),
        ),
      ],
    };
  },
};
