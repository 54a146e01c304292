#!/usr/bin/env node
// The command `viewstamp`: wires the commands together and turns whatever happens into an exit code. Usage errors come from
// commander with a suggestion; signals drain what runs before the process leaves, a second one ends it at once.

import { Command, CommanderError } from 'commander';
import { packageVersion } from './environment.js';
import { guardStreams } from './output.js';
import { EXIT_FAILED, EXIT_USAGE, exitCodeOf, messageOf } from './usage.js';

interface Context {
  readonly signal: AbortSignal;
  setExitCode(code: number): void;
}
type Register = (program: Command, context: Context) => void;

/** In the order of the help. Loaded when they are called: the simulator is of no use to who wants a benchmark. */
const COMMANDS: ReadonlyMap<string, () => Promise<Register>> = new Map([
  ['bench', async () => (await import('./bench.js')).registerBench],
  ['tune', async () => (await import('./tune.js')).registerTune],
  ['report', async () => (await import('./report.js')).registerReport],
  ['demo', async () => (await import('./demo.js')).registerDemo],
  ['up', async () => (await import('./up.js')).registerUp],
  ['inspect', async () => (await import('./inspect.js')).registerInspect],
  ['soak', async () => (await import('./soak.js')).registerSoak],
  ['killtest', async () => (await import('./killtest.js')).registerKilltest],
  ['explore', async () => (await import('./explore.js')).registerExplore],
  ['sim', async () => (await import('./sim.js')).registerSim],
]);

/** A closed terminal ends a program as Ctrl-C does. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** As if SIGPIPE had ended it. */
const EXIT_PIPE = 141;

/** Nobody reads what is printed. */
class OutputGone extends Error {}

async function main(): Promise<number> {
  const abort = new AbortController();
  let exitCode = 0;
  let signalCode = 0;
  let ended = false;
  guardStreams((why) => {
    if (why !== null) {
      process.stderr.write(`error: ${why}\n`);
      process.exitCode ||= EXIT_FAILED;
    }
    // Whoever had its last word ends now by itself, and its verdict stands; for the others there is nobody left to work for.
    setImmediate(() => {
      if (ended) return;
      signalCode = why === null ? EXIT_PIPE : EXIT_FAILED;
      abort.abort(new OutputGone('nobody reads the output'));
    });
  });
  for (const [name, code] of Object.entries(SIGNALS))
    process.once(name, () => {
      signalCode = code;
      abort.abort(new Error(`ended by ${name}`));
    });
  const context: Context = {
    signal: abort.signal,
    setExitCode: (code: number) => {
      exitCode = code;
    },
  };
  const program = new Command('viewstamp')
    .description('Viewstamped Replication on the threads of one process')
    .version(packageVersion(), '-V, --version')
    .showHelpAfterError('(viewstamp <command> --help lists the flags)')
    .exitOverride();
  const named = COMMANDS.get(process.argv[2] ?? '');
  // Help and suggestions need all of them.
  for (const load of named === undefined ? COMMANDS.values() : [named])
    (await load())(program, context);
  try {
    await program.parseAsync(process.argv);
    ended = true;
  } catch (error) {
    ended = true;
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (signalCode === 0) {
      process.stderr.write(`error: ${messageOf(error)}\n`);
      return exitCodeOf(error);
    }
  }
  // What a command found out before it was ended, or while it drained, says more than the signal.
  if (signalCode === 0 || exitCode !== 0) return exitCode;
  if (!(abort.signal.reason instanceof OutputGone))
    process.stderr.write(`${messageOf(abort.signal.reason)}\n`);
  return signalCode;
}

const code = await main();
// Output that could not be written may have said so first.
process.exitCode = code === 0 ? (process.exitCode ?? 0) : code;
