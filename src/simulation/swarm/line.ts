// One line for one run, the seed first.

import type { RunReport } from './simulate.js';

/** `seed 4711  ok  5+1w  3 clients  hints  6.2 s  412 ops  4 views  hash 0123456789abcdef  loss crash pause` */
export function lineOf(report: RunReport): string {
  const { plan, failure } = report;
  const actives = plan.replicas - plan.witnesses;
  return [
    `seed ${report.seed}`,
    failure === null ? 'ok' : 'FAILED',
    plan.witnesses === 0 ? `${actives}` : `${actives}+${plan.witnesses}w`,
    `${plan.clients} client${plan.clients === 1 ? '' : 's'}`,
    plan.hints ? 'hints' : 'no hints',
    `${(report.virtualMs / 1000).toFixed(1)} s`,
    `${report.operations} ops`,
    `${report.views} views`,
    `hash ${report.hash}`,
    plan.kinds.join(' ') || 'calm',
    ...(failure === null ? [] : [failure.message]),
  ].join('  ');
}
