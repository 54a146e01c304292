// `viewstamp up`: a cluster until it is told to stop, which then drains. What happens to it stands on standard error, a line each.

import { type Command, Option } from 'commander';
import { type Cluster, type DiskOptions, type OpenOptions, open } from '../index.js';
import { readDirectory } from '../storage/directory-file.js';
import {
  checkWitnesses,
  FSYNC_MODES,
  type FsyncMode,
  intervalOption,
  refuseIdleDiskFlags,
  value,
} from './flags.js';
import { madeDirectory } from './scratch.js';
import { formatBytes, formatCount, formatMillis, parseCount } from './units.js';
import { EXIT_FAILED, EXIT_UNAVAILABLE, messageOf } from './usage.js';

interface Flags {
  readonly replicas?: number;
  readonly witnesses?: number;
  readonly data?: string;
  readonly fsync: FsyncMode;
  readonly interval: number;
}

type Shape = Required<Pick<OpenOptions, 'replicas' | 'witnesses'>> & Pick<OpenOptions, 'limits'>;

const REPLICAS_DEFAULT = 3;

export function registerUp(
  program: Command,
  context: { readonly signal: AbortSignal; setExitCode(code: number): void },
): void {
  program
    .command('up')
    .description('run a cluster until Ctrl-C, which drains it; a second one ends it at once')
    .option(
      '--replicas <count>',
      `size of the cluster (default: as --data was made, else ${REPLICAS_DEFAULT})`,
      value((text) => parseCount(text, { least: 1, most: 9 })),
    )
    .option(
      '--witnesses <count>',
      'how many of them keep only the log (default: as --data was made, else 0)',
      value((text) => parseCount(text, { least: 0, most: 4 })),
    )
    .option('--data <dir>', 'keep everything in this directory, made where there is none')
    .addOption(
      new Option('--fsync <mode>', 'what --data flushes when; batch: before it is acknowledged')
        .choices(FSYNC_MODES)
        .default('batch'),
    )
    .addOption(intervalOption())
    .addHelpText('after', HELP)
    .action(async (flags: Flags, command: Command) => {
      refuseIdleDiskFlags(command, { modes: [flags.fsync], inMemory: flags.data === undefined });
      context.setExitCode(await up(flags, context.signal));
    });
}

const HELP = `
Without --data everything is in memory, and gone when it ends.
Exit code: 129, 130 or 143 after SIGHUP, SIGINT or SIGTERM and a clean drain, 1 when the drain failed, 4 when what is on the disk cannot be
trusted, 5 when the directory is in use or cannot be written, or too few replicas are left.`;

async function up(flags: Flags, signal: AbortSignal): Promise<number> {
  const durability = durabilityOf(flags);
  const shape = shapeOf(flags, durability);
  checkWitnesses(shape);
  const beganAt = performance.now();
  const cluster = await open({ name: 'up', ...shape, durability, signal });
  const lost = tell(cluster);
  let exitCode = 0;
  try {
    say(await describe(cluster, shape, durability));
    say(`ready after ${formatMillis(performance.now() - beganAt)}, Ctrl-C drains`);
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await Promise.race([lost, aborted]);
    if (!signal.aborted) exitCode = EXIT_UNAVAILABLE;
    else say('draining');
  } finally {
    await cluster.close().catch((error: unknown) => {
      say(`closing failed: ${messageOf(error)}`);
      exitCode = EXIT_FAILED;
    });
  }
  if (exitCode === 0) say('closed');
  return exitCode;
}

function durabilityOf({ data, fsync, interval }: Flags): 'memory' | DiskOptions {
  if (data === undefined) return 'memory';
  return { dir: madeDirectory(data), fsync, intervalMs: interval };
}

/** What a directory was made with is not to be said again. */
function shapeOf(flags: Flags, durability: 'memory' | DiskOptions): Shape {
  const found = durability === 'memory' ? null : readDirectory(String(durability.dir));
  const stored = found?.kind === 'content' ? found.content.configuration : null;
  const witnesses = stored?.members.filter(({ role }) => role === 'witness').length;
  return {
    replicas: flags.replicas ?? stored?.members.length ?? REPLICAS_DEFAULT,
    witnesses: flags.witnesses ?? witnesses ?? 0,
    ...(stored === null ? {} : { limits: { storeBytes: stored.storeBytes } }),
  };
}

function say(text: string): void {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}

async function describe(
  cluster: Cluster,
  { replicas, witnesses }: Shape,
  durability: 'memory' | DiskOptions,
): Promise<string> {
  const where =
    durability === 'memory'
      ? 'in memory'
      : `in ${durability.dir}, fsync ${durability.fsync}${durability.fsync === 'batch' ? '' : ` every ${durability.intervalMs} ms`}`;
  const { view, primary, replicas: all } = await cluster.status();
  const op = Math.max(...all.map(({ commitNumber }) => commitNumber));
  return `process ${process.pid}: ${replicas} replicas (${witnesses} of them witnesses) ${where}; replica ${primary} leads view ${view}, ${formatCount(op)} entries committed`;
}

/** A line for each event. @returns resolves when too few replicas are left for good */
function tell(cluster: Cluster): Promise<void> {
  cluster.on('viewchange', ({ view, primary, reason, tookMs }) =>
    say(`view ${view}: replica ${primary} leads (${reason}), after ${formatMillis(tookMs)}`),
  );
  cluster.on('replicastate', ({ replica, from, to }) =>
    say(`replica ${replica}: ${from} -> ${to}`),
  );
  cluster.on('replicacrash', ({ replica, error, restarting }) =>
    say(
      `replica ${replica} crashed: ${messageOf(error)}; ${restarting ? 'it is started again' : 'it stays down'}`,
    ),
  );
  cluster.on('storedamaged', ({ replica, message }) =>
    say(`replica ${replica}: its store is damaged and given up, it recovers: ${message}`),
  );
  cluster.on('statetransfer', ({ replica, op, pages, bytes, of }) =>
    say(
      `replica ${replica}: caught up to checkpoint ${op}, ${formatCount(pages)} of ${formatCount(of)} pages, ${formatBytes(bytes)}`,
    ),
  );
  cluster.on('logpressure', ({ replica, usedBytes, limitBytes, full }) =>
    say(
      `replica ${replica}: log ${full ? 'full' : 'nearly full'}, ${formatBytes(usedBytes)} of ${formatBytes(limitBytes)}`,
    ),
  );
  cluster.on('divergence', ({ replica, message }) =>
    say(`replica ${replica}: its state differs from that of the others, it stays down: ${message}`),
  );
  cluster.on('quorumrestored', () => say('enough replicas again'));
  return new Promise((resolve) => {
    cluster.on('quorumlost', ({ reachable, needed, permanent }) => {
      say(
        `too few replicas: ${reachable} of ${needed} needed${permanent ? ', and none will come back' : ''}`,
      );
      if (permanent) resolve();
    });
  });
}
