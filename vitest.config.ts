import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'pure',
          include: [
            'test/{protocol,transport,service,simulation,actors,fuzz,cli}/**/*.test.ts',
            'test/storage/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'live',
          include: ['test/live/**/*.test.ts', 'test/storage/live/**/*.test.ts'],
          globalSetup: ['test/live/build.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          execArgv: ['--enable-source-maps', '--expose-gc'],
        },
      },
    ],
  },
});
