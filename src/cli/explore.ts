// `viewstamp explore`: every order of events that small groups can meet, on the very core that runs in production. It says how
// much was seen and whether all of it, and shows the shortest way to whatever is wrong.

import { setInterval } from 'node:timers';
import { type Command, Option } from 'commander';
import { Piscina } from 'piscina';
import { formatSchedule } from '../simulation/explorer/schedule.js';
import {
  describeBudgets,
  SCOPE_NAMES,
  SCOPES,
  type ScopeName,
} from '../simulation/explorer/scope.js';
import { PAPER_DEFECTS, type PaperDefectName } from '../simulation/paper-defects.js';
import { describeEnvironment, type Environment, recordEnvironment } from './environment.js';
import { type ExploreResult, type ExploreTask, FIGURES } from './explore.task.js';
import { value } from './flags.js';
import { table } from './output.js';
import { startProgress } from './progress.js';
import { formatCount, formatMillis, parseCount, parseList } from './units.js';
import { EXIT_FAILED, EXIT_SAFETY, UsageError } from './usage.js';

interface Flags {
  readonly scope?: readonly ScopeName[];
  readonly states: number;
  readonly walks: number;
  readonly seconds: number;
  readonly paperDefect?: PaperDefectName;
  readonly format: 'table' | 'json';
  readonly quiet?: true;
}

interface Report {
  readonly kind: 'viewstamp.explore';
  readonly schemaVersion: 1;
  readonly env: Environment;
  readonly paperDefect: PaperDefectName | null;
  readonly scopes: readonly ExploreResult[];
  readonly states: number;
  readonly violations: number;
}

const THREADS = 2;
const POLL_MS = 200;
/** In which scopes each defect shows. */
const DEFECT_SCOPES: Readonly<Record<PaperDefectName, readonly ScopeName[]>> = {
  'truncate-early': ['S3'],
  'stale-life': ['S4'],
};
/** The large ones first: they take the whole time, the small ones follow each other beside them. */
const ORDER: readonly ScopeName[] = ['S4', 'S3', 'S2', 'S1'];

function scopeName(text: string): ScopeName {
  const name = SCOPE_NAMES.find((known) => known === text);
  if (name === undefined) throw new UsageError(`'${text}' is not one of ${SCOPE_NAMES.join(', ')}`);
  return name;
}

function count(least: number, most: number): (text: string) => number {
  return value((text) => parseCount(text, { least, most }));
}

export function registerExplore(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  program
    .command('explore')
    .description('try every order of events of small groups on the protocol core')
    .option(
      '-s, --scope <list>',
      `scopes, of ${SCOPE_NAMES.join(', ')} (default: all)`,
      value((text) => parseList(text, scopeName)),
    )
    .option('--states <count>', 'most worlds seen breadth first, per scope', count(1, 5e7), 4e6)
    .option('--walks <count>', 'random walks in a scope that meets this bound', count(0, 1e9), 1000)
    .option('--seconds <count>', 'most seconds, per scope', count(1, 86_400), 150)
    .addOption(
      new Option('--paper-defect <name>', "switch a defect of the paper's text on").choices(
        Object.keys(PAPER_DEFECTS),
      ),
    )
    .addOption(
      new Option('-f, --format <name>', 'form of the result')
        .choices(['table', 'json'])
        .default('table'),
    )
    .option('-q, --quiet', 'nothing on standard error but errors')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => context.setExitCode(await runExplore(flags, context.signal)));
}

const HELP = `
Scopes, three replicas each; messages arrive in any order, late, never and again:
${SCOPE_NAMES.map((name) => `  ${name}  ${describeBudgets(SCOPES[name].budgets)}`).join('\n')}
Exit code 4: an invariant broke; the shortest schedule that breaks it is printed.`;

async function runExplore(flags: Flags, signal: AbortSignal): Promise<number> {
  const env = recordEnvironment();
  const say = (text: string): void => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`);
  };
  say(describeEnvironment(env));
  const defect = flags.paperDefect ?? null;
  const wanted = flags.scope ?? (defect === null ? SCOPE_NAMES : DEFECT_SCOPES[defect]);
  const scopes = await exploreAll(wanted, flags, { say, signal });
  const violations = scopes.filter((found) => found.violation !== null).length;
  const report: Report = {
    kind: 'viewstamp.explore',
    schemaVersion: 1,
    env,
    paperDefect: defect,
    scopes,
    states: scopes.reduce((sum, found) => sum + found.states, 0),
    violations,
  };
  const text = flags.format === 'json' ? JSON.stringify(report, null, 2) : exploreTable(report);
  process.stdout.write(`${text}\n`);
  if (violations > 0) return EXIT_SAFETY;
  if (defect === null) return 0;
  process.stderr.write(`error: ${defect} was switched on and not found within these bounds\n`);
  return EXIT_FAILED;
}

async function exploreAll(
  wanted: readonly ScopeName[],
  flags: Flags,
  context: { readonly say: (text: string) => void; readonly signal: AbortSignal },
): Promise<ExploreResult[]> {
  const { signal } = context;
  const figures = new SharedArrayBuffer(wanted.length * FIGURES * 4);
  const words = new Int32Array(figures);
  const pool = new Piscina<ExploreTask, ExploreResult>({
    filename: new URL('./explore.task.js', import.meta.url).href,
    maxThreads: THREADS,
    concurrentTasksPerWorker: 1,
  });
  const progress = startProgress(flags.quiet === true);
  let done = 0;
  const shown = setInterval(() => {
    const states = wanted.reduce((sum, _, index) => sum + (words[index * FIGURES] ?? 0), 0);
    const depths = wanted.map((name, index) => `${name} depth ${words[index * FIGURES + 1]}`);
    const most = Math.max(done / wanted.length, states / (flags.states * wanted.length));
    progress.update(most, `${formatCount(states)} worlds, ${depths.join(', ')}`);
  }, POLL_MS);
  const results = new Map<ScopeName, ExploreResult>();
  const runOne = async (scope: ScopeName): Promise<void> => {
    const { states, walks, seconds, paperDefect: defect = null } = flags;
    const index = wanted.indexOf(scope);
    const task = { scope, defect, states, walks, seconds, figures, index };
    const found = await pool.run(task, { signal });
    results.set(scope, found);
    done++;
    context.say(
      `${scope}: ${formatCount(found.states)} worlds in ${formatMillis(found.seconds * 1e3)}`,
    );
  };
  try {
    await Promise.all(ORDER.filter((name) => wanted.includes(name)).map(runOne));
  } finally {
    clearInterval(shown);
    progress.stop();
    await pool.destroy();
  }
  return wanted.flatMap((name) => results.get(name) ?? []);
}

/** Rows of figures, then how to get to what is wrong. */
function exploreTable(report: Report): string {
  const rows = report.scopes.map((found) => [
    found.scope,
    describeBudgets(SCOPES[scopeName(found.scope)].budgets),
    formatCount(found.states),
    formatCount(found.transitions),
    `${found.depth}`,
    found.violation !== null ? 'until found' : found.complete ? 'complete' : 'bounded',
    found.walks.count === 0 ? '-' : formatCount(found.walks.count),
    found.violation === null ? '0' : '1',
    formatMillis(found.seconds * 1e3),
  ]);
  const head = ['scope', 'at most', 'worlds', 'events', 'depth', 'seen', 'walks', 'wrong', 'time'];
  const parts = [table(head, rows), `Different worlds: ${formatCount(report.states)}.`];
  for (const { scope, violation } of report.scopes)
    if (violation !== null)
      parts.push('', `${scope}: ${violation.what}`, formatSchedule(violation.schedule));
  return parts.join('\n');
}
