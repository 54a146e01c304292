// Every rule of stages 1 to 4 (protocol.md 0.2), every erratum that its rules close (4) and every scenario that it must have (6) is
// named by the title of at least one test, wherever that test lives. It cannot say that the test is a good one, only that
// nobody forgot the rule.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DIRECTED } from './mistakes/registry.js';

const RULES = [
  ...['G1', 'G4', 'G5', 'G6'],
  ...['N1', 'N2', 'N3', 'N4', 'N5', 'N6', 'N7', 'N8', 'N9'],
  ...['HB1', 'HB2', 'HB3', 'HB4', 'HB5', 'HB6', 'HB7', 'HB8', 'HH1', 'HH3', 'HH4', 'HH5'],
  ...['T1', 'T2', 'T3', 'T4'],
  ...['CP1', 'CP2', 'CP3', 'CP4', 'CP5', 'CP6', 'CP7', 'CP8'],
  ...['P1', 'P2', 'P3', 'P4', 'P5', 'P6', 'P9'],
  ...[
    'VC1',
    'VC2',
    'VC3',
    'VC4',
    'VC5',
    'VC6',
    'VC7',
    'VC8',
    'VC9',
    'VC10',
    'VC11',
    'VC12',
    'VC13',
  ],
  ...['R0', 'R1', 'R2', 'R3', 'R4', 'R5', 'R6'],
  ...['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W7', 'RD0', 'RD1', 'RD2'],
  ...['RD3', 'RD4', 'RD5', 'RD6', 'RD7', 'RD8', 'RD9', 'RD10', 'HH2'],
  ...['CS1', 'CS2', 'CS3', 'CS4', 'CS5', 'CS6', 'CS7', 'CS8', 'CL1', 'CL2', 'CL3', 'CL4', 'CL5'],
  ...['DT1', 'DT2', 'DT4', 'DT5', 'DT6'],
  ...['BP1', 'BP2', 'BP3', 'BP4', 'BP5', 'BP6', 'SP1', 'SP2', 'SP3'],
];

/** Errata whose closing rules stages 1 to 4 have. The others are about reconfiguration. */
const ERRATA = [
  ...['E1', 'E2', 'E3', 'E4', 'E5', 'E6', 'E7', 'E8', 'E8b', 'E9', 'E10', 'E12', 'E13', 'E14'],
  ...['E15', 'E16', 'E19', 'E20', 'E21', 'E22', 'E23', 'E28', 'E29', 'E30', 'E31', 'E32', 'E35'],
  ...['E36', 'E37', 'E39', 'E40', 'E43', 'E44', 'E45', 'E47', 'E48', 'E49'],
  ...['E17', 'E38', 'E46'],
  ...['E11', 'E23b', 'E23c', 'E27', 'E34', 'E42'],
];

/** Scenarios of protocol.md 6 that stages 1 to 4 must have, by name. */
const SCENARIOS = `
  batch-duplicates catch-up-under-load client-crash-twice client-lockout
  crash-during-install crash-loop dvc-interrupted flaky-voter
  gap-then-viewchange gc-pause-primary ghost-dvc ghost-dvc-5
  ghost-dvc-bodies ghost-startview govr-01-commit-quorum
  govr-02-no-quorum govr-03-backup-request govr-04-view-change
  govr-05-view-change-recovery govr-06-consecutive govr-07-abort-view-change
  govr-08-recovery govr-10-recovery-retry govr-11-churn hint-cascade
  hint-exit hint-false isolated-return kill-all-memory late-old-view
  lecture-abc lecture-minority lecture-two-invites lecture-uncommitted
  lili-irq-overflow log-limit lost-last-ok lost-majority mutant-e1
  mutant-e2 mutant-e3 mutant-e4 mutant-e5 mutant-e6 mutant-e7
  one-way-in one-way-out pipeline-reorder quiet-after-view-change
  read-after-failover read-own-writes recover-self-primary
  recover-stale-primary register-ahead register-duplicate
  register-mutants register-torn ring-full-storm ring-partition
  rolling-restart session-evict-retry session-large-replies session-order
  session-window slow-apply stale-heartbeats store-limit suspend-all
  ts-backwards unregister vc-fetch-donor-dies view-started
  witness-commit witness-never-primary
  checkpoint-then-old-sv cold-missing-image corrupt-page cow-under-load
  govr-09-own-log heap-restore kill-all-async kill-all-sync laggard-elect
  lecture-abc-diskloss lecture-abc-sync lili-growing-log log-pressure
  lost-tail merkle-delta merkle-donor-moves nondeterminism-trap
  promise-before-flush register-lost restart-primary-same-view
  lease-partitioned-primary lease-granter-restart lease-early-hint
  lease-pause backup-causal
  store-full witness-amnesia witness-gc-bound witness-recover
`
  .trim()
  .split(/\s+/);

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testFiles(path);
    return entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

/** First string argument of whatever declares a test or a group of tests. */
const TITLE = /\b(?:test|it|describe|scenario)(?:\.\w+(?:\([^)]*\))?)?\(\s*(['"`])([\s\S]*?)\1/g;

const titles = testFiles(join(import.meta.dirname, '..')).flatMap((path) =>
  [...readFileSync(path, 'utf8').matchAll(TITLE)].map((match) => match[2] ?? ''),
);
// The titles of directed scenarios for mistakes are made from their registry.
const named = new Set(
  [...titles, ...DIRECTED.map(({ rules }) => rules)].flatMap(
    (title) => title.match(/\b[A-Z]{1,2}\d+[bc]?\b/g) ?? [],
  ),
);

test('each rule of stages 1 to 4 is named by a test', () => {
  expect(titles.length).toBeGreaterThan(100);
  expect(RULES.filter((rule) => !named.has(rule))).toEqual([]);
});

test('each erratum that stages 1 to 4 close has a directed scenario', () => {
  expect(ERRATA.filter((erratum) => !named.has(erratum))).toEqual([]);
});

test('each scenario of stages 1 to 4 is told by its name', () => {
  const told = new Set(titles.map((title) => title.split(/[ :]/)[0]));
  expect(SCENARIOS.filter((name) => !told.has(name))).toEqual([]);
});
