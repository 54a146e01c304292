// What the report of a soak says of memory: a line through few samples is none.

import { expect, test } from 'vitest';
import { recordEnvironment } from '../../src/cli/environment.js';
import type { EpochResult } from '../../src/cli/soak/epoch.js';
import type { MemorySample } from '../../src/cli/soak/memory.js';
import { judge, type SoakOutcome, soakJson, soakTable } from '../../src/cli/soak/report.js';

const MIB = 2 ** 20;

/** A MiB of the heap and a hundred of the process more each second. */
function sampleAt(second: number): MemorySample {
  return {
    atMs: 1000 * second,
    heapBytes: (8 + second) * MIB,
    residentBytes: 100 * (1 + second) * MIB,
  };
}

function outcome(clusters: number, samplesEach: number): SoakOutcome {
  const epochs = Array.from({ length: clusters }, (_, cluster): EpochResult => {
    const seconds = Array.from({ length: samplesEach }, (_, at) => cluster * samplesEach + at);
    return {
      injuries: [],
      samples: seconds.map(sampleAt),
      after: sampleAt((cluster + 1) * samplesEach),
      check: {
        operations: 1,
        unknown: 0,
        acknowledgedIncrements: 0,
        lost: 0,
        doubled: 0,
        violations: [],
        undecided: [],
      },
      digestsEqual: true,
      viewChanges: 0,
      logBytes: 0,
    } as unknown as EpochResult;
  });
  return {
    env: recordEnvironment(),
    options: {},
    elapsedMs: clusters * samplesEach * 1000,
    epochs,
    failure: null,
    servingLimitMs: 1000,
    logLimitBytes: MIB,
  };
}

test.each([0, 1, 4, 18])('one cluster with %i samples is too short to judge', (samples) => {
  const short = outcome(1, samples);
  const text = soakTable(short);
  expect(text).toContain(' over 1 cluster, ');
  expect(text.match(/too few samples to tell whether it grows/g)).toHaveLength(2);
  expect(text).not.toContain('slope');
  expect(judge(short).exitCode).toBe(0);
  expect(JSON.parse(soakJson(short))).toMatchObject({ heap: { enough: false, flat: true } });
});

test.each([
  ['many samples of one cluster', 1, 60],
  ['a few clusters that were closed', 10, 5],
])('%s are judged', (_, clusters, samples) => {
  const long = outcome(clusters, samples);
  expect(soakTable(long)).toMatch(/^heap after collection: .* slope 3600\.0 ± 0\.0 .* MISSED/m);
  expect(judge(long)).toMatchObject({
    exitCode: 3,
    heap: { enough: true, flat: false },
    resident: { enough: true, flat: false },
  });
});
