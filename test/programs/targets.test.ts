// The run of the targets for a moment: every probe starts, measures and ends. The figures are of no interest, and nobody judges them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Ending, scratch, startProgram } from './fixtures/command.js';

/** Without programs to be found: no Redis, no taskset. */
function targets(...args: string[]): Promise<Ending> {
  const env = { ...process.env, PATH: '' };
  return startProgram('build/bench/targets/main.js', args, { env }).ending;
}

test('--smoke measures everything but what is not installed, and --json writes it', async () => {
  const file = join(scratch(), 'targets.json');
  const { code, stdout, stderr } = await targets('--smoke', '--json', file);
  const skipped = stderr.trimEnd().split('\n');
  expect(skipped[0]).toBe(
    'T7 pipelines / Redis with two replicas and WAIT 1: skipped, redis-server is not installed (apt-get install redis-server)',
  );
  expect(skipped.slice(1).every((line) => line.includes('taskset is not installed'))).toBe(true);
  expect(code).toBe(0);
  const document = JSON.parse(readFileSync(file, 'utf8'));
  expect(document).toMatchObject({
    kind: 'viewstamp.targets',
    schemaVersion: 1,
    env: { node: process.versions.node },
    rounds: 1,
    capacity: [expect.any(Number), expect.any(Number)],
    doubtful: expect.any(Boolean),
  });
  const figures = document.figures as { target: string; what: string; value: number }[];
  const measured = [...new Set(figures.map(({ target }) => target))];
  const all = Array.from({ length: 13 }, (_, at) => `T${at + 1}`);
  expect(measured).toEqual(all.filter((target) => target !== 'T7'));
  for (const { what, value } of figures) {
    expect(value, what).toBeGreaterThanOrEqual(0);
    expect(stdout).toContain(what);
  }
  expect(stdout).toContain('the figures mean nothing');
});

test.each([
  [['--only', 'T7'], 5, 'nothing is left to measure'],
  [['--only', 'T14'], 2, "'T14' is not one of T1, T2, T3"],
  [['--rounds', '0'], 2, "'0' is out of range: from 1 to 1000"],
  [['--rounds', '2', '--smoke'], 2, "option '--smoke' cannot be used with option '--rounds <n>'"],
  [['--json', 'targets.csv'], 2, "'targets.csv' must end in .json"],
])('%j: nothing is measured', async (args, exitCode, why) => {
  const { code, stdout, stderr } = await targets(...args);
  expect({ code, stdout }).toEqual({ code: exitCode, stdout: '' });
  expect(stderr).toContain(why);
});
