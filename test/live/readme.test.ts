// The README's first example is compiled under the strict settings of a user, and run.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');

test('the example of the README compiles and prints what it says', () => {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  const folder = join(ROOT, 'build', 'readme');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'example.ts'), example);
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const flags = [
    '--ignoreConfig',
    '--strict',
    '--target',
    'es2022',
    '--module',
    'node20',
    '--lib',
    'es2023,esnext.disposable',
  ];
  execFileSync(
    process.execPath,
    [tsc, ...flags, '--types', 'node', '--skipLibCheck', 'example.ts'],
    { cwd: folder },
  );
  const printed = execFileSync(process.execPath, ['example.js'], { cwd: folder, encoding: 'utf8' });
  // Each console.log of the example is followed by a comment with what it prints.
  const promised = [...example.matchAll(/console\.log\(.*\);? \/\/ (.*)/g)].map(
    (match) => match[1],
  );
  expect(printed.trim().split('\n')).toEqual(promised);
  expect(promised.length).toBeGreaterThan(3);
});
