// The tests that mutants of core and ring have to get past: rules, scenarios and properties, but neither threads nor the test of
// switched-on mistakes. Properties take a tenth of their runs, for each mutant meets every test that reaches its line.

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'test/protocol/**/*.test.ts',
      'test/transport/{ring,corruption}.test.ts',
      'test/fuzz/{client-table,configuration,log,request-body,ring}.test.ts',
    ],
    exclude: ['test/protocol/mistakes.test.ts'],
    testTimeout: 120_000,
    env: { FUZZ_FACTOR: '0.1', FUZZ_SEED: '1' },
  },
});
