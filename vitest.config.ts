import { defineConfig } from 'vitest/config';

/** For what hangs, not for what is slow: shared machines take four times as long in their bad hours. */
const STUCK_MS = 240_000;
/** The default leaves a core to the one that starts them, which has nothing to do: of two that is half. */
const ALL_CORES = '100%';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          maxWorkers: ALL_CORES,
          include: [
            'test/{protocol,transport,service,simulation,actors,fuzz,cli}/**/*.test.ts',
            'test/storage/*.test.ts',
          ],
          testTimeout: STUCK_MS,
        },
      },
      {
        test: {
          name: 'programs',
          // Half of their time is that of starting processes, one after the other.
          maxWorkers: ALL_CORES,
          include: ['test/programs/**/*.test.ts'],
          globalSetup: ['test/build.ts'],
          testTimeout: STUCK_MS,
          hookTimeout: STUCK_MS,
        },
      },
      {
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts', 'test/storage/live/**/*.test.ts'],
          globalSetup: ['test/build.ts'],
          fileParallelism: false,
          testTimeout: STUCK_MS,
          hookTimeout: STUCK_MS,
          execArgv: ['--expose-gc'],
        },
      },
    ],
  },
});
