// A hundredth of the ring stress run: real threads, and every message accounted for.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const STRESS = 'build/bench/micro/ring-stress.js';

test('two threads over a ring: no gap, no lost wake-up (H5)', async () => {
  const { stdout } = await run(process.execPath, [STRESS, '--fraction', '0.01']);
  const lines = stdout.trim().split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(/^1 MiB ring, 8 to 4096 B: 200000 messages/);
  expect(lines[1]).toMatch(/^4 KiB ring, 8 to 1016 B: 20000 messages/);
  for (const line of lines) expect(line).toMatch(/ 0 lost wake-ups, 0 gaps$/);
});

test('a fraction that is none is refused', async () => {
  const outcome = run(process.execPath, [STRESS, '--fraction', '2']);
  await expect(outcome).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--fraction must be above 0 and at most 1, got 2'),
  });
});
