// How large the entries of a run were: of all primaries there were, between two moments, of several runs.

import type { EntrySizes, MetricsSnapshot } from '../index.js';
import { formatBytes } from './units.js';

type Buckets = EntrySizes['byRequests'];

/** `all` bucket by bucket; there is at least one, and all have the same buckets. */
function combined(
  all: readonly EntrySizes[],
  combine: (values: readonly number[]) => number,
): EntrySizes {
  const figure = (of: (sizes: EntrySizes) => number): number => combine(all.map(of));
  const buckets = (of: (sizes: EntrySizes) => Buckets): Buckets =>
    of(all[0] as EntrySizes).map(([upTo], bucket) => [
      upTo,
      figure((sizes) => of(sizes)[bucket]?.[1] ?? 0),
    ]);
  return {
    entries: figure(({ entries }) => entries),
    requests: figure(({ requests }) => requests),
    bytes: figure(({ bytes }) => bytes),
    byRequests: buckets(({ byRequests }) => byRequests),
    byBytes: buckets(({ byBytes }) => byBytes),
  };
}

export function sumOfEntries(all: readonly EntrySizes[]): EntrySizes {
  return combined(all, (values) => values.reduce((sum, value) => sum + value, 0));
}

/** Since the cluster opened, whoever was its primary. */
export function entriesMade({ replicas }: MetricsSnapshot): EntrySizes {
  return sumOfEntries(replicas.map((replica) => replica.entriesMade));
}

export function entriesBetween(before: EntrySizes, after: EntrySizes): EntrySizes {
  return combined([before, after], ([earlier = 0, later = 0]) => later - earlier);
}

/** The mean entry in words. */
export function describeEntries({ entries, requests, bytes }: EntrySizes): string {
  if (entries === 0) return 'no entries';
  const mean = (requests / entries).toFixed(1);
  return `${mean} requests and ${formatBytes(bytes / entries)} per entry`;
}
