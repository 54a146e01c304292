// What a figure depends on besides the code: recorded with every result, because a number without its machine is a rumour. It
// names the machine's kind, never its address or its files.

import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { isNativeAccelerationEnabled } from 'msgpackr';
import { formatBytes } from './units.js';

export interface Environment {
  readonly package: string;
  /** Commit of a checkout; null for an installed package. */
  readonly commit: string | null;
  readonly node: string;
  readonly v8: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  /** Cores that the control group allows; null: no limit, or not Linux. */
  readonly cgroupCores: number | null;
  readonly governor: string | null;
  readonly memoryBytes: number;
  /** Of the last minute, before the run. */
  readonly loadAverage: number;
  readonly codecAddon: boolean;
}

const ROOT = new URL('../../', import.meta.url);

function read(path: string | URL): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

export function packageVersion(): string {
  const manifest = JSON.parse(read(new URL('package.json', ROOT)) ?? '{}') as { version?: string };
  return manifest.version ?? 'unknown';
}

function commit(): string | null {
  const head = read(new URL('.git/HEAD', ROOT));
  if (head === null) return null;
  const reference = /^ref: (.+)$/.exec(head)?.[1];
  return reference === undefined ? head : read(new URL(`.git/${reference}`, ROOT));
}

function cgroupCores(): number | null {
  const [quota, period] = (read('/sys/fs/cgroup/cpu.max') ?? 'max').split(' ');
  return quota === 'max' || period === undefined ? null : Number(quota) / Number(period);
}

export function recordEnvironment(): Environment {
  return {
    package: packageVersion(),
    commit: commit(),
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform} ${process.arch}`,
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    cgroupCores: cgroupCores(),
    governor: read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor'),
    memoryBytes: totalmem(),
    loadAverage: loadavg()[0] ?? 0,
    codecAddon: isNativeAccelerationEnabled,
  };
}

/** One line for people. */
export function describeEnvironment(env: Environment): string {
  const cores =
    env.cgroupCores === null ? `${env.cores}` : `${env.cores} (quota ${env.cgroupCores})`;
  return `viewstamp ${env.package} · Node ${env.node} · ${env.platform} · ${env.cpu} · ${cores} cores · ${formatBytes(env.memoryBytes)} · load ${env.loadAverage.toFixed(2)}`;
}
