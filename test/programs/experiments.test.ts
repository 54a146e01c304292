// The experiments for a moment: each measures, writes its data and draws. And what is committed of them: figures and tables must be what
// the data beside them says.

import { copyFileSync, cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Ending, ROOT, scratch, startProgram } from './fixtures/command.js';

const COMMITTED = join(ROOT, 'docs/experiments');
const NAMES = ['replicas', 'view-change', 'message-size', 'request-queue'];

function experiments(...args: string[]): Promise<Ending> {
  return startProgram('build/bench/experiments/main.js', args).ending;
}

test('--smoke: each leaves its data, its figure and its table', async () => {
  const out = scratch();
  copyFileSync(join(COMMITTED, 'README.md'), join(out, 'README.md'));
  const { code, stdout, stderr } = await experiments('--smoke', '--out', out);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const readme = readFileSync(join(out, 'README.md'), 'utf8');
  for (const name of NAMES) {
    expect(stdout).toContain(`\n${name}: `);
    const document = JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8'));
    expect(document).toMatchObject({
      kind: 'viewstamp.experiment',
      schemaVersion: 1,
      experiment: name,
      env: { node: process.versions.node },
      rounds: 1,
      smoke: true,
      capacity: [expect.any(Number), expect.any(Number)],
    });
    expect(document.rows.length).toBeGreaterThan(0);
    const svg = readFileSync(join(out, `${name}.svg`), 'utf8');
    expect(/^<svg .*<\/svg>\n$/s.test(svg), name).toBe(true);
    expect(/NaN|Infinity|e\+/.test(svg), name).toBe(false);
    const [, table = ''] = readme.split(`<!-- ${name}: written by npm run experiments -->`);
    expect(table).toContain(`\n1 rounds · capacity`);
  }
  const rowsOf = (name: string) =>
    JSON.parse(readFileSync(join(out, `${name}.json`), 'utf8')).rows as Record<string, unknown>[];
  for (const row of rowsOf('replicas')) expect(row['opsPerSecond']).toBeGreaterThan(0);
  // It had nothing, and the next primary needs everything.
  expect(rowsOf('view-change')[0]?.['nextBytes']).toBeGreaterThan(1000 * 100);
  expect(rowsOf('message-size').slice(1)).toMatchObject([
    { shape: 'one value', messageBytes: 2 ** 20, limit: 'valueBytes', code: 'VR_VALUE_TOO_LARGE' },
    { shape: 'an atomic batch', limit: 'requestBytes', code: 'VR_REQUEST_TOO_LARGE' },
  ]);
  // A queue of one call, and thousands called: most are refused, and not all.
  const refused = rowsOf('request-queue').map((row) => row['refusedShare']);
  expect(refused.at(-1)).toBeGreaterThan(0);
  expect(refused.at(-1)).toBeLessThan(1);
});

test('--redraw: what is committed is what the committed data says', async () => {
  const out = scratch();
  cpSync(COMMITTED, out, { recursive: true });
  const { code, stdout, stderr } = await experiments('--redraw', '--out', out);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(readdirSync(out).toSorted()).toEqual(readdirSync(COMMITTED).toSorted());
  for (const file of readdirSync(out))
    expect(readFileSync(join(out, file), 'utf8'), file).toBe(
      readFileSync(join(COMMITTED, file), 'utf8'),
    );
});

test.each([
  [['replica'], "'replica' is invalid for argument 'experiments'. Allowed choices are replicas,"],
  [['--smoke'], '--smoke needs --out'],
  [['--smoke', '--out', ROOT], "has no '<!-- replicas: written by npm run experiments -->'"],
])('%j: nothing is measured', async (args, why) => {
  const { code, stdout, stderr } = await experiments(...args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(why);
});
