#!/usr/bin/env node
// The command `viewstamp`: wires the commands together and turns whatever happens into an exit code. Usage errors come from
// commander with a suggestion; signals drain what runs before the process leaves, a second one ends it at once.

import { Command, CommanderError } from 'commander';
import { registerBench } from './bench.js';
import { registerDemo } from './demo.js';
import { packageVersion } from './environment.js';
import { registerExplore } from './explore.js';
import { registerInspect } from './inspect.js';
import { registerKilltest } from './killtest.js';
import { guardStreams } from './output.js';
import { registerReport } from './report.js';
import { registerSim } from './sim.js';
import { registerSoak } from './soak.js';
import { registerTune } from './tune.js';
import { registerUp } from './up.js';
import { EXIT_USAGE, exitCodeOf, messageOf } from './usage.js';

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

async function main(): Promise<number> {
  const abort = new AbortController();
  let exitCode = 0;
  let signalCode = 0;
  for (const [name, code] of Object.entries(SIGNALS))
    process.once(name, () => {
      signalCode = code;
      abort.abort(new Error(`ended by ${name}`));
    });
  const context = {
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
  registerBench(program, context);
  registerTune(program, context);
  registerReport(program);
  registerDemo(program, context);
  registerUp(program, context);
  registerInspect(program, context);
  registerSoak(program, context);
  registerKilltest(program, context);
  registerExplore(program, context);
  registerSim(program, context);
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
    if (signalCode === 0) {
      process.stderr.write(`error: ${messageOf(error)}\n`);
      return exitCodeOf(error);
    }
  }
  // What a command found out before it was ended, or while it drained, says more than the signal.
  if (signalCode === 0 || exitCode !== 0) return exitCode;
  process.stderr.write(`${messageOf(abort.signal.reason)}\n`);
  return signalCode;
}

guardStreams();
process.exitCode = await main();
