import { describe, expect, test } from 'vitest';
import { type BenchFlags, planBench } from '../../src/cli/bench-plan.js';
import { parseConsistency } from '../../src/cli/units.js';
import { FLAGS } from './results.js';

function opened(change: Partial<BenchFlags>): object {
  const plan = planBench({ ...FLAGS, ...change });
  const [configuration] = plan.configurations;
  if (configuration === undefined) throw new Error('no configuration');
  const { consistency, timing } = plan.run(configuration, '').open;
  return { consistency, timing };
}

describe('what a benchmark opens', () => {
  test('reads as open() has it, where nothing is said', () => {
    expect(opened({})).toEqual({});
  });

  test.each([
    ['linearizable', 'linearizable'],
    ['session', 'session'],
    ['local', 'local'],
    ['50ms', { maxStaleMs: 50 }],
    ['2s', { maxStaleMs: 2000 }],
  ])('reads of level %s', (text, consistency) => {
    expect(opened({ consistency: parseConsistency(text) })).toEqual({ consistency });
  });

  test('no lease, which is not the same as none said', () => {
    expect(opened({ lease: 0 })).toEqual({ timing: { leaseMs: 0 } });
  });
});
