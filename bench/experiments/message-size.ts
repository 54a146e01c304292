// The largest message before the store becomes unavailable: requests that grow until they are refused, through rings of two sizes. How
// available the store is others say: a client that meanwhile writes a few bytes, one write at a time.

import { performance } from 'node:perf_hooks';
import { attach, type BatchOp, type Client, type Cluster, open, VrError } from 'viewstamp';
import { latencyHistogram, recordSince } from '#dist/cli/load.js';
import { latencyOf, median } from '#dist/cli/statistics.js';
import { formatBytes, formatCount, formatMicros } from '#dist/cli/units.js';
import { type Experiment, groupsOf, type InRound, inRounds, type Run } from './experiment.js';
import { PANEL, type Panel } from './figure.js';

interface Served {
  readonly what: 'served';
  readonly ringBytes: number;
  /** Of the values of a request. */
  readonly messageBytes: number;
  readonly bytesPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Writes of a few bytes, of another client meanwhile. */
  readonly otherP50Us: number;
  readonly otherMaxUs: number;
  /** A replica sends its heartbeats between passes. */
  readonly longestPassUs: number;
  readonly viewChanges: number;
}

interface Refused {
  readonly what: 'refused';
  readonly shape: Shape;
  /** Of the largest that is taken. */
  readonly messageBytes: number;
  /** What names the bound of it. */
  readonly limit: string;
  readonly code: string;
}

type Shape = keyof typeof SHAPES;
type Row = Served | Refused;
type Rows = readonly InRound<Row>[];
type Layers = Extract<Panel, { layer: unknown }>['layer'];

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const RINGS = [64 * KIB, MIB];
/** The last one leaves room for the keys and headers of two values in a request of 2 MiB. */
const SIZES = [KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 2 * MIB - 64];
interface Point {
  readonly ringBytes: number;
  readonly bytes: number;
}
const POINTS: readonly Point[] = RINGS.flatMap((ringBytes) =>
  SIZES.map((bytes) => ({ ringBytes, bytes })),
);
const SMOKE_POINTS: readonly Point[] = [{ ringBytes: MIB, bytes: KIB }];
/** Where the axis of messages is labelled. */
const TICKS = [...SIZES.slice(0, -1), 2 * MIB];
const VALUE_MOST = MIB;
/** Requests in flight: a queue before the primary, whatever their size. */
const WRITERS = 8;
const WARM_UP_SHARE = 0.2;
const TIMEOUT_MS = 60_000;
const TOO_MUCH = 4 * MIB;
/** Of a limit in bytes, what may not be values: keys, and headers of a request and its operations. */
const HEADERS_MOST = 255;
const HEARTBEAT_MS = 50;
const VIEW_TIMEOUT_MS = 500;

function batchOf(name: string, bytes: number): BatchOp<Uint8Array>[] {
  const operations: BatchOp<Uint8Array>[] = [];
  for (let left = bytes; left > 0; left -= VALUE_MOST)
    operations.push({
      type: 'set',
      key: `${name} ${operations.length}`,
      value: new Uint8Array(Math.min(left, VALUE_MOST)).fill(7),
    });
  return operations;
}

/** Requests of `bytes` one after the other, from each of the writers. */
async function writeFor(ms: number, client: Client, bytes: number) {
  const kv = client.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
  const histogram = latencyHistogram();
  const began = performance.now();
  let messages = 0;
  const write = async (writer: number): Promise<void> => {
    const batch = batchOf(`writer ${writer}`, bytes);
    while (performance.now() < began + ms) {
      const at = performance.now();
      await kv.batch(batch, { timeoutMs: TIMEOUT_MS });
      recordSince(histogram, at);
      messages++;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  const { p50Us, p99Us } = latencyOf(histogram);
  return { bytesPerSecond: (messages * bytes * 1e3) / (performance.now() - began), p50Us, p99Us };
}

/** Small writes, one after the other, as long as `going` says so. */
async function writeLittle(client: Client, going: () => boolean) {
  const histogram = latencyHistogram();
  while (going()) {
    const at = performance.now();
    await client.kv.set('small', 1, { timeoutMs: TIMEOUT_MS });
    recordSince(histogram, at);
  }
  const { p50Us, maxUs } = latencyOf(histogram);
  return { otherP50Us: p50Us, otherMaxUs: maxUs };
}

async function measureServed(
  cluster: Cluster,
  { ringBytes, bytes }: Point,
  run: Run,
): Promise<Served> {
  await using other = await attach(cluster.share().data);
  await writeFor(1e3 * run.seconds * WARM_UP_SHARE, cluster, bytes);
  let going = true;
  const little = writeLittle(other, () => going);
  const large = await writeFor(1e3 * run.seconds, cluster, bytes);
  going = false;
  const others = await little;
  const { replicas, viewChanges } = cluster.metrics();
  const longestPassUs = Math.max(...replicas.map(({ passMaxMicros }) => passMaxMicros));
  return {
    what: 'served',
    ringBytes,
    messageBytes: bytes,
    ...large,
    ...others,
    longestPassUs,
    viewChanges,
  };
}

const SHAPES = {
  'one value': (cluster: Cluster, bytes: number) =>
    cluster.kv
      .namespace<Uint8Array>('', { encoding: 'bytes' })
      .set('value', new Uint8Array(bytes), { timeoutMs: TIMEOUT_MS }),
  'an atomic batch': (cluster: Cluster, bytes: number) =>
    cluster.kv
      .namespace<Uint8Array>('', { encoding: 'bytes' })
      .batch(batchOf('value', bytes), { timeoutMs: TIMEOUT_MS }),
} as const;

/** @returns why it was refused, or null. @throws any other error */
async function refusalOf(write: Promise<unknown>): Promise<VrError | null> {
  try {
    await write;
    return null;
  } catch (error) {
    if (VrError.is(error) && error.outcome === 'not-executed') return error;
    throw error;
  }
}

/** The largest that is taken, to the byte; and that the store goes on after what it refuses. */
async function measureRefused(cluster: Cluster): Promise<Refused[]> {
  const rows: Refused[] = [];
  for (const [shape, write] of Object.entries(SHAPES)) {
    const refusal = await refusalOf(write(cluster, TOO_MUCH));
    const limit = String(refusal?.details['limit']);
    const bytes = Number(refusal?.details[limit]);
    if (refusal === null || Number.isNaN(bytes))
      throw new Error(`${shape} of ${formatBytes(TOO_MUCH)} met no limit that is named`);
    let taken = bytes - HEADERS_MOST;
    await write(cluster, taken);
    let refused = bytes + 1;
    while (refused - taken > 1) {
      const tried = (taken + refused) >> 1;
      if ((await refusalOf(write(cluster, tried))) === null) taken = tried;
      else refused = tried;
      await cluster.kv.set('small', 1);
    }
    const { code } = refusal;
    rows.push({ what: 'refused', shape: shape as Shape, messageBytes: taken, limit, code });
  }
  return rows;
}

const servedOf = (rows: Rows) => rows.filter((row) => row.what === 'served');
/** The same in every round. */
const limitsOf = (rows: Rows) =>
  rows.filter((row) => row.what === 'refused' && row.round === 1) as readonly Refused[];

export const MESSAGE_SIZE: Experiment<InRound<Row>> = {
  name: 'message-size',
  what: 'the largest message before the store becomes unavailable',
  measure: (run) => {
    const points = run.smoke ? SMOKE_POINTS : POINTS;
    return inRounds(
      run,
      points,
      ({ ringBytes, bytes }) =>
        `rings of ${formatBytes(ringBytes)}, messages of ${formatBytes(bytes)}`,
      async (point): Promise<Row[]> => {
        await using cluster = await open({ limits: { ringBytes: point.ringBytes } });
        const served = await measureServed(cluster, point, run);
        // What is refused does not depend on the point: once in a round is enough.
        return point === points.at(-1) ? [served, ...(await measureRefused(cluster))] : [served];
      },
    );
  },

  summarise: (rows) => ({
    head: [
      'message',
      'rings',
      'p50',
      'p99',
      'MiB/s',
      "other client's p50",
      'its worst',
      'longest pass',
      'view changes',
    ],
    rows: [
      ...groupsOf(
        servedOf(rows),
        ({ ringBytes, messageBytes }) => `${ringBytes} ${messageBytes}`,
      ).map((group) => [
        formatBytes(group[0]?.messageBytes ?? 0),
        formatBytes(group[0]?.ringBytes ?? 0),
        formatMicros(median(group.map(({ p50Us }) => p50Us))),
        formatMicros(median(group.map(({ p99Us }) => p99Us))),
        (median(group.map(({ bytesPerSecond }) => bytesPerSecond)) / MIB).toFixed(1),
        formatMicros(median(group.map(({ otherP50Us }) => otherP50Us))),
        formatMicros(Math.max(...group.map(({ otherMaxUs }) => otherMaxUs))),
        formatMicros(Math.max(...group.map(({ longestPassUs }) => longestPassUs))),
        `${group.reduce((sum, { viewChanges }) => sum + viewChanges, 0)}`,
      ]),
      ...limitsOf(rows).map(({ shape, messageBytes, limit, code }) => [
        `${shape}: ${formatCount(messageBytes)} bytes at most`,
        'any',
        `then \`${code}\` (\`${limit}\`)`,
        ...Array<string>(6).fill(''),
      ]),
    ],
  }),

  figure: (rows) => {
    const values = servedOf(rows).map((row) => ({
      ...row,
      rings: formatBytes(row.ringBytes),
      p50: row.p50Us / 1e3,
      mib: row.bytesPerSecond / MIB,
      worst: row.otherMaxUs / 1e3,
      pass: row.longestPassUs / 1e3,
    }));
    const limits = limitsOf(rows).map(({ messageBytes, shape }) => ({ messageBytes, shape }));
    const bounds = [
      { ms: HEARTBEAT_MS, bound: 'heartbeats' },
      { ms: VIEW_TIMEOUT_MS, bound: 'view timeout' },
    ];
    const x = {
      field: 'messageBytes',
      type: 'quantitative',
      title: 'message',
      scale: { type: 'log', base: 2 },
      axis: {
        values: TICKS,
        labelExpr: `datum.value < ${MIB} ? datum.value / ${KIB} + ' KiB' : datum.value / ${MIB} + ' MiB'`,
        labelOverlap: false,
        labelAngle: -45,
      },
    } as const;
    const panel = (
      title: string,
      label: string,
      figure: string,
      aggregate: 'median' | 'max',
      marks: Layers = [],
    ): Panel => ({
      ...PANEL,
      title,
      layer: [
        {
          mark: { type: 'line', point: true },
          encoding: {
            x,
            y: {
              field: figure,
              aggregate,
              type: 'quantitative',
              title: label,
              scale: { type: 'log' },
            },
            color: { field: 'rings', type: 'nominal', title: 'rings of' },
          },
        },
        {
          data: { values: limits },
          mark: { type: 'rule', strokeDash: [4, 4], color: 'grey' },
          encoding: { x },
        },
        ...marks,
      ],
    });
    return {
      data: { values },
      hconcat: [
        panel(`time of a message, ${WRITERS} in flight: p50`, 'ms', 'p50', 'median'),
        panel('values written', 'MiB/s', 'mib', 'median'),
        panel("another client's small write: the worst", 'ms', 'worst', 'max', [
          {
            data: { values: bounds },
            mark: { type: 'rule', color: 'firebrick', strokeDash: [2, 2] },
            encoding: { y: { field: 'ms', type: 'quantitative' } },
          },
          {
            data: { values: bounds },
            mark: { type: 'text', color: 'firebrick', align: 'left', dy: -6, x: 4 },
            encoding: {
              y: { field: 'ms', type: 'quantitative' },
              text: { field: 'bound', type: 'nominal' },
            },
          },
        ]),
      ],
    };
  },
};
