// What a comparison with peers found, for people: one table with what each of them guarantees, and the notes that its cells need.

import { table } from '#dist/cli/output.js';
import { formatCount, formatMicros } from '#dist/cli/units.js';
import { describeCapacity, describeDisturbance } from '../cluster/comparison.js';
import { PEERS, type PeerComparison, type PeerRow } from './comparison.js';

const HEAD = [
  '',
  'operations/s',
  '/ viewstamp',
  'CPU-ns/op',
  'p50',
  'p99',
  'acknowledged by',
  'linearizable',
  'survives',
  'durable',
];

function cells(row: PeerRow): string[] {
  const { copies, acknowledged, linearizable, survives, durable } = row.guarantees;
  return [
    row.name,
    formatCount(row.opsPerSecond),
    row.ofViewstamp >= 10 ? row.ofViewstamp.toFixed(0) : row.ofViewstamp.toPrecision(2),
    // Only Linux tells the CPU time of other processes.
    Number.isNaN(row.cpuNsPerOp) ? '-' : row.cpuNsPerOp.toFixed(0),
    formatMicros(row.p50Us),
    formatMicros(row.p99Us),
    `${acknowledged} of ${copies}`,
    linearizable ? 'yes' : 'no',
    survives,
    durable,
  ];
}

export function peersTable(comparison: PeerComparison): string {
  const { rows, capacity, disturbance, pipelinesOverRedis: ratio } = comparison;
  const notes = PEERS.filter(({ id }) => rows.some(({ peer }) => peer === id)).map(
    ({ id, guarantees }) => `${id}: ${guarantees.note}`,
  );
  return [
    table(HEAD, rows.map(cells)),
    ...notes,
    ...(ratio === null
      ? []
      : [
          `viewstamp's pipelines / Redis with WAIT 1, both at their best length: ${ratio.toFixed(2)}`,
        ]),
    describeCapacity(capacity),
    describeDisturbance(disturbance),
  ].join('\n');
}
