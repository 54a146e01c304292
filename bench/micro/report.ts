// What the pieces took, as a table for people and JSON for programs.

import type { Environment } from '#dist/cli/environment.js';
import { table } from '#dist/cli/output.js';
import { formatCount } from '#dist/cli/units.js';
import { describeCapacity } from '../cluster/comparison.js';
import { type RingRatios, ratiosOf } from './ring-ratios.js';
import type { Effort, Measured, Measurement } from './rounds.js';

const SCHEMA_VERSION = 1;
const HEAD = ['', 'ns', '±', 'CPU-ns', 'per second', 'GB/s'] as const;

function row({ name, bytes, ns, cpuNs, spread }: Measured): string[] {
  return [
    name,
    ns.toFixed(1),
    `${(100 * spread).toFixed(0)}%`,
    cpuNs === null ? '' : cpuNs.toFixed(1),
    formatCount(1e9 / ns),
    bytes === null ? '' : (bytes / ns).toFixed(2),
  ];
}

function describeRatios({ overPostMessage, overCopy }: RingRatios): string {
  return `ring / postMessage, frames of 64 B: ${overPostMessage.toFixed(1)} · ring / memcpy, frames of 1 MiB: ${overCopy.toFixed(2)}`;
}

export function microTable({ pieces, capacity }: Measurement): string {
  const ratios = ratiosOf(pieces);
  return [
    table(HEAD, pieces.map(row)),
    ...(ratios === null ? [] : [describeRatios(ratios)]),
    describeCapacity(capacity),
  ].join('\n');
}

export function microJson(env: Environment, effort: Effort, measurement: Measurement): string {
  const { pieces, capacity } = measurement;
  const document = {
    kind: 'viewstamp.micro',
    schemaVersion: SCHEMA_VERSION,
    env,
    effort,
    capacity,
    pieces,
    ringRatios: ratiosOf(pieces),
  };
  return JSON.stringify(document, null, 2);
}
