// A result file made up: figures follow from the settings, so that a test can say where each of them has to turn up.

export type Place = { batch: number | 'auto'; window: number };

/** A document of `viewstamp bench`, with what `viewstamp report` reads of one. */
export function resultDocument(places: readonly Place[]) {
  const rows = places.map((place) => ({ fsync: 'memory', ...place, lingerMicros: 0 }));
  const size = ({ batch, window }: Place): number => (batch === 'auto' ? 512 : batch) * window;
  return {
    kind: 'viewstamp.bench' as string,
    schemaVersion: 1,
    env: { node: '20.0.0', cores: 2, governor: null } as Record<string, unknown>,
    command: ['bench', '--batch', '8, 64'],
    cluster: { replicas: 3, witnesses: 0 },
    load: { api: 'pipeline', mix: { get: 50, set: 50 } } as Record<string, unknown>,
    summary: rows.map((row) => ({
      ...row,
      runs: 2,
      opsPerSecond: 1000 * size(row),
      spread: 0.05,
      cpuNsPerOp: 900,
      latency: { p50Us: size(row), p99Us: 2 * size(row), p999Us: 3 * size(row), maxUs: 9999 },
      errors: 0,
      capacity: 1.9,
      doubtful: [] as string[],
      // A quarter of them has as many requests as there are open, and a KiB for each.
      entries: {
        entries: 8,
        requests: 6 + 2 * row.window,
        bytes: 0,
        byRequests: [1, 2, 4, 8, 16, 32, 64].map((upTo) => [
          upTo,
          upTo === 1 ? 6 : upTo === row.window ? 2 : 0,
        ]),
        byBytes: [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536].map((upTo) => [
          upTo,
          upTo === 1024 ? 6 : upTo === 1024 * row.window ? 2 : 0,
        ]),
      },
    })),
    runs: rows.map((row) => ({
      ...row,
      timeline: [
        [100, 5],
        [200, size(row)],
      ],
    })),
    histogram: rows.map((row) => ({
      ...row,
      unit: 'us',
      percentiles: [
        [0, 1],
        [50, 2],
        [99, 3],
        [100, 4],
      ],
    })),
  };
}
