// The types of the package serve a program that has nothing but Node's.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

test('a program without the types of a browser compiles against every declaration it can reach', () => {
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = ['--ignoreConfig', '--noEmit', '--strict', '--exactOptionalPropertyTypes'];
  const platform = [
    '--target',
    'es2022',
    '--lib',
    'es2022',
    '--types',
    'node',
    '--module',
    'node20',
  ];
  const said = (): string => {
    try {
      return execFileSync(
        process.execPath,
        [tsc, ...flags, ...platform, '--skipLibCheck', 'false', 'test/live/fixtures/consumer.ts'],
        { cwd: ROOT, encoding: 'utf8' },
      );
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };
  expect(said()).toBe('');
});
