// `viewstamp inspect`: what lies in a data directory, replica by replica, and whether it is sound. It changes nothing, and works while a
// process has the directory open and while it is damaged.

import { type Command, Option } from 'commander';
import { loadDigest } from '../actors/replica/digest.js';
import type { Chain } from '../protocol/types.js';
import { type DirectoryReport, inspectDirectory } from './inspect/directory.js';
import type { ReplicaReport } from './inspect/replica.js';
import { table } from './output.js';
import { formatBytes, formatCount } from './units.js';
import { EXIT_SAFETY } from './usage.js';

interface Flags {
  readonly format: 'table' | 'json';
}

export function registerInspect(
  program: Command,
  context: { setExitCode(code: number): void },
): void {
  program
    .command('inspect')
    .description('show what a data directory holds, and whether it is sound; changes nothing')
    .argument('<dir>', 'the directory of a cluster')
    .addOption(
      new Option('-f, --format <name>', 'form of the result')
        .choices(['table', 'json'])
        .default('table'),
    )
    .addHelpText('after', HELP)
    .action(async (dir: string, flags: Flags) => {
      const report = inspectDirectory(dir, await loadDigest());
      const text = flags.format === 'json' ? inspectJson(report) : inspectText(report);
      process.stdout.write(`${text}\n`);
      if (report.problems.length > 0) context.setExitCode(EXIT_SAFETY);
    });
}

const HELP = `
It reads everything once: checksums, the chain of every log, the root of every checkpoint.
Exit code: 0 all is sound, 2 there is no cluster, 4 something is damaged or replicas disagree.`;

function hex(words: Chain): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

function inspectText(report: DirectoryReport): string {
  return [...headLines(report), replicaTable(report), ...conclusion(report)].join('\n');
}

function headLines({ path, content, owner }: DirectoryReport): string[] {
  const lines: string[] = [];
  if (content === null) lines.push(`${path}: what tells of the cluster is damaged`);
  else {
    const { clusterId, gen, formatVersion, configuration, pageBytes } = content;
    const { members, epoch, storeBytes } = configuration;
    const witnesses = members.filter(({ role }) => role === 'witness').length;
    lines.push(
      `${path}: cluster ${clusterId.toString(16)}, ${members.length} replicas (${witnesses} of them witnesses), epoch ${epoch}, generation ${gen}`,
      `store limit ${formatBytes(storeBytes)}, pages of ${pageBytes} bytes, format version ${formatVersion}`,
    );
  }
  if (owner !== null) lines.push(ownerLine(owner));
  else if (content !== null) lines.push('closed: nobody has it open');
  return lines;
}

function ownerLine({ pid, hostname, state }: NonNullable<DirectoryReport['owner']>): string {
  switch (state) {
    case 'dead':
      return `not closed: process ${pid} on ${hostname} had it open, and is gone`;
    case 'elsewhere':
      return `in use, or not closed, by process ${pid} on ${hostname}, which is another host`;
    default:
      return `in use by process ${pid} on ${hostname}: what follows may be older than what it is doing`;
  }
}

const HEAD = [
  'replica',
  'role',
  'starts',
  'promised',
  'normal in',
  'log',
  'entries',
  'commit',
  'log bytes',
  'checkpoint',
  'root',
  'pages',
  'file',
  'store',
];

function replicaTable({ replicas }: DirectoryReport): string {
  return table(HEAD, replicas.map(row));
}

function row({ id, role, register, fileBytes, store }: ReplicaReport): string[] {
  const alive = register.kind === 'alive' ? register.register : null;
  const log = store.kind === 'empty' ? null : store.log;
  const checkpoint = log?.checkpoint ?? null;
  return [
    `${id}`,
    role ?? '?',
    alive === null ? 'dead' : `${alive.start}`,
    alive === null ? 'dead' : alive.stamp === null ? '-' : `view ${alive.stamp.view}`,
    log === null ? '-' : `view ${log.lastNormal.view}`,
    log === null ? '-' : log.entries === 0 ? `empty at ${log.end}` : `${log.start}..${log.end}`,
    log === null ? '-' : formatCount(log.entries),
    log === null ? '-' : `${log.commit}`,
    log === null ? '-' : formatBytes(log.bytes),
    checkpoint === null ? '-' : `${checkpoint.op}`,
    checkpoint === null ? '-' : hex(checkpoint.root).slice(0, 8),
    checkpoint === null ? '-' : formatCount(checkpoint.pages),
    formatBytes(fileBytes),
    store.kind,
  ];
}

function conclusion({ comparisons, problems, remarks }: DirectoryReport): string[] {
  const lines: string[] = [];
  const agreeing = comparisons.filter(({ committed }) => committed !== null);
  if (problems.length === 0 && agreeing.length > 0) {
    const least = Math.min(...agreeing.map(({ equalUpTo }) => equalUpTo ?? 0));
    const roots = comparisons.filter(({ equalRoots }) => equalRoots === true).length;
    lines.push(
      `the logs agree wherever two can be compared, all of them up to op ${least}; ${rootsLine(roots)}`,
    );
  }
  lines.push(...remarks);
  if (problems.length === 0) lines.push('nothing wrong was found');
  for (const problem of problems) lines.push(`WRONG: ${problem}`);
  return lines;
}

function rootsLine(pairs: number): string {
  if (pairs === 0) return 'no two checkpoints are at the same op';
  return `${pairs === 1 ? 'a pair' : `${pairs} pairs`} of checkpoints at the same op, equal`;
}

function inspectJson(report: DirectoryReport): string {
  const { path, content, owner, comparisons, problems, remarks } = report;
  const document = {
    kind: 'viewstamp.inspect',
    schemaVersion: 1,
    path,
    cluster: content,
    owner,
    sound: problems.length === 0,
    problems,
    remarks,
    replicas: report.replicas.map(replicaJson),
    comparisons,
  };
  return JSON.stringify(document, null, 2);
}

function replicaJson({ id, role, register, fileBytes, store }: ReplicaReport): object {
  const common = { id, role, register: registerJson(register), fileBytes };
  if (store.kind === 'empty')
    return { ...common, store: store.kind, why: [], log: null, checkpoint: null };
  if (store.log === null)
    return { ...common, store: store.kind, why: store.why, log: null, checkpoint: null };
  const { checkpoint, ...log } = store.log;
  return {
    ...common,
    store: store.kind,
    why: store.why,
    log,
    checkpoint:
      checkpoint === null
        ? null
        : {
            op: checkpoint.op,
            root: hex(checkpoint.root),
            chain: hex(checkpoint.chain),
            pages: checkpoint.pages,
          },
  };
}

function registerJson(register: ReplicaReport['register']): object {
  if (register.kind === 'dead') return { state: 'dead', why: register.why };
  return { state: 'alive', ...register.register, wholeCopies: register.copies };
}
