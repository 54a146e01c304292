// A disk that fails under one replica: strace makes every flush of its store's file fail with EIO. That replica must stop with VR_DISK,
// the others must go on, and what they acknowledged must be there after a restart, when the disk is well again.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadDigest } from '../../actors/replica/digest.js';
import type { ReplicaState } from '../../index.js';
import { seeded } from '../../simulation/seeded.js';
import { replicaFiles } from '../../storage/files.js';
import { Auditor, type AuditTotals, THREADS } from './auditor.js';
import { type Crash, Victim, type VictimOptions } from './victim.js';

export interface EioResult {
  readonly replica: number;
  readonly role: string;
  /** How its thread ended; null: it did not. */
  readonly crash: Crash | null;
  readonly states: readonly ReplicaState[];
  /** Acknowledged before it ended, and after. */
  readonly before: number;
  readonly after: number;
  readonly audit: AuditTotals;
  readonly violations: readonly string[];
}

const FLUSHES = 'fdatasync,fsync,msync';
const LOAD_MS = 300;
const CRASH_MS = 20_000;
/** That many more have to be acknowledged by the others, in the time. */
const MORE = 100;
const MORE_MS = 20_000;
const POLL_MS = 10;

/** @returns why it cannot be done here, or null. */
export function eioLack(): string | null {
  const { error, status } = spawnSync('strace', ['-V'], { stdio: 'ignore' });
  return error === undefined && status === 0 ? null : 'strace is not installed';
}

/** @throws when a process did not come up, or strace cannot attach */
export async function failDisk(
  options: VictimOptions,
  replica: number,
  seed: number,
): Promise<EioResult> {
  const dir = String(options.durability.dir);
  const auditor = new Auditor(dir, await loadDigest());
  const hurt = await underLoad(options, { replica, seed, auditor });
  const again = new Victim(options, THREADS);
  try {
    await again.opened;
    const audit = await auditor.audit(again);
    await again.close();
    return { replica, ...hurt, audit, violations: auditor.violations };
  } finally {
    await again.kill();
  }
}

async function underLoad(
  options: VictimOptions,
  {
    replica,
    seed,
    auditor,
  }: { readonly replica: number; readonly seed: number; readonly auditor: Auditor },
): Promise<Pick<EioResult, 'role' | 'crash' | 'states' | 'before' | 'after'>> {
  const victim = new Victim(options, THREADS);
  let strace: ChildProcess | null = null;
  try {
    await victim.opened;
    const role = (await victim.status()).replicas[replica]?.role ?? 'unknown';
    await auditor.load(victim, seeded(seed)());
    await sleep(LOAD_MS);
    strace = await attach(victim.pid, replicaFiles(String(options.durability.dir), replica).store);
    const crashed = (): Crash | undefined => victim.crashes.find((one) => one.replica === replica);
    await until(() => crashed() !== undefined, CRASH_MS);
    const before = victim.acknowledged;
    await until(() => victim.acknowledged >= before + MORE, MORE_MS);
    const after = victim.acknowledged - before;
    const states = (await victim.status()).replicas.map(({ state }) => state);
    if (victim.failure !== null) throw victim.failure;
    return { role, crash: crashed() ?? null, states, before, after };
  } finally {
    await detach(strace);
    await victim.kill();
    auditor.collect(victim, 'after the disk had failed');
  }
}

/** From now on every flush of the file fails. */
async function attach(pid: number, file: string): Promise<ChildProcess> {
  const inject = [`trace=${FLUSHES}`, `inject=${FLUSHES}:error=EIO`].flatMap((text) => [
    '-e',
    text,
  ]);
  const args = ['-f', '-p', `${pid}`, '-P', realpathSync(file), ...inject];
  const strace = spawn('strace', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const attached = new Promise<void>((resolve, reject) => {
    strace.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1000);
      if (text.includes('attached')) resolve();
    });
    strace.once('close', () => reject(new Error(`strace cannot attach: ${said.trim()}`)));
  });
  await attached;
  return strace;
}

async function detach(strace: ChildProcess | null): Promise<void> {
  if (strace === null || strace.exitCode !== null || strace.signalCode !== null) return;
  const ended = once(strace, 'close');
  strace.kill('SIGINT');
  await ended;
}

async function until(condition: () => boolean, withinMs: number): Promise<void> {
  for (let waited = 0; !condition() && waited < withinMs; waited += POLL_MS) await sleep(POLL_MS);
}

/** What must not be. */
export function wrongWith({
  replica,
  crash,
  states,
  after,
  violations,
  audit,
}: EioResult): string[] {
  const wrong = [...violations];
  if (crash === null) wrong.push(`replica ${replica} did not stop`);
  else if (crash.code !== 'VR_DISK') wrong.push(`replica ${replica} stopped with ${crash.message}`);
  for (const [id, state] of states.entries()) {
    if (id === replica && state !== 'down') wrong.push(`replica ${id} is ${state}, without a disk`);
    if (id !== replica && state !== 'normal') wrong.push(`replica ${id} is ${state}`);
  }
  if (after < MORE) wrong.push(`only ${after} operations were acknowledged afterwards`);
  if (audit.lost > 0) wrong.push(`${audit.lost} acknowledged operations are lost`);
  return wrong;
}
