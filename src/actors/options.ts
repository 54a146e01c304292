// Options as users write them, checked once and turned into complete settings. Every refusal names the path, the value and what
// is allowed; an unknown name is refused too, for a misspelt limit that is silently ignored is worse than an error.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { invalidShape } from '../protocol/configuration.js';
import {
  DEFAULT_LIMITS,
  DEFAULT_TIMING,
  type ProtocolLimits,
  type ProtocolTiming,
  TICK_MS,
} from '../protocol/limits.js';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../service/operation.js';
import { STORE_BYTES_MIN } from '../service/paged-heap.js';
import type { CallDefaults, CallOptions, ClientOptions, OpenOptions } from './api.js';
import { VrError } from './errors.js';

/** What every client has to know. */
export interface ClientSettings {
  readonly timeoutMs: number;
  readonly maxOps: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly requestBytes: number;
  readonly callsInFlight: number;
  readonly callsWaiting: number;
  readonly sessionWindow: number;
  readonly sessionReplyBytes: number;
  readonly logBytes: number;
}

export interface DiskSettings {
  /** Absolute. */
  readonly dir: string;
  readonly fsync: (typeof FSYNC_MODES)[number];
  readonly intervalMs: number;
}

export interface Settings {
  readonly name: string;
  /** null: in memory. */
  readonly disk: DiskSettings | null;
  readonly replicas: number;
  readonly witnesses: number;
  readonly autoRestart: boolean;
  readonly ref: boolean;
  readonly clients: number;
  readonly storeBytes: number;
  readonly replicaHeapMiB: number;
  readonly ringBytes: number;
  readonly logPretouchBytes: number;
  readonly hangMs: number;
  readonly limits: ProtocolLimits;
  readonly timing: ProtocolTiming;
  readonly client: ClientSettings;
}

const MIB = 1 << 20;
/** More would take a thread longer to touch than it may take to start. */
const PRETOUCH_MOST: number = 2 ** 30;
const OPEN_NAMES = [
  'name',
  'replicas',
  'witnesses',
  'durability',
  'checkpointEvery',
  'batch',
  'timing',
  'limits',
  'autoRestart',
  'ref',
  'signal',
  'timeoutMs',
];
const DISK_NAMES = ['dir', 'fsync', 'intervalMs'];
const FSYNC_MODES = ['batch', 'interval', 'none'] as const;
const BATCH_NAMES = ['maxOps', 'maxBytes', 'lingerMicros', 'window'];
const TIMING_NAMES = ['heartbeatMs', 'viewTimeoutMs', 'leaseMs', 'hangMs'];
const LIMIT_NAMES = [
  'keyBytes',
  'valueBytes',
  'callsInFlight',
  'callsWaiting',
  'clients',
  'storeBytes',
  'logBytes',
  'logPretouchBytes',
  'replicaHeapMiB',
  'ringBytes',
];
const CLIENT_NAMES = ['name', 'timeoutMs', 'signal'];
const DEFAULTS_NAMES = ['timeoutMs'];
const CALL_NAMES = ['signal', 'timeoutMs'];
/** Heartbeats that must fit into the silence before a view change (3.17). */
const HEARTBEATS_PER_TIMEOUT = 8;
const DAY_MS = 86_400_000;
/** A lease that outlasts the silence before a view change would only delay that (3.17). */
const LEASE_MS = 300;
const LEASE_SHARE = 0.6;
/** So many checkpoints fit into a full log, however large its entries are. */
const CHECKPOINTS_PER_LOG = 4;

/** Any value in few words: `String` throws for some. */
function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 60 });
}

function config(message: string, details: Record<string, unknown>): VrError {
  return new VrError('VR_CONFIG', message, { details });
}

/** Fewest edits between two names, small numbers only. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change =
        (row[j - 1] ?? 0) + (a[i - 1]?.toLowerCase() === b[j - 1]?.toLowerCase() ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function section(value: unknown, path: string, names: readonly string[]): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw config(`${path || 'options'} must be an object, got ${show(value)}`, { path, value });
  for (const name of Object.keys(value)) {
    if (names.includes(name)) continue;
    const nearest = names.map((known) => ({ known, far: distance(name, known) }));
    nearest.sort((a, b) => a.far - b.far);
    const hint = (nearest[0]?.far ?? 9) <= 3 ? `; did you mean '${nearest[0]?.known}'?` : '';
    const full = path === '' ? name : `${path}.${name}`;
    throw config(`unknown option '${full}'${hint}`, { path: full, allowed: names });
  }
  return value as Record<string, unknown>;
}

interface IntegerRange {
  readonly least: number;
  readonly most: number;
  readonly fallback: number;
}

function integer(value: unknown, path: string, range: IntegerRange): number {
  if (value === undefined) return range.fallback;
  const fine = typeof value === 'number' && Number.isInteger(value);
  if (!fine || value < range.least || value > range.most)
    throw config(
      `${path} must be an integer from ${range.least} to ${range.most}, got ${show(value)}`,
      {
        path,
        value,
        least: range.least,
        most: range.most,
      },
    );
  return value;
}

function flag(value: unknown, path: string, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean')
    throw config(`${path} must be true or false, got ${show(value)}`, { path, value });
  return value;
}

function text(value: unknown, path: string, fallback: string): string {
  if (value === undefined) return fallback;
  if (typeof value !== 'string' || value.length === 0 || value.length > 64)
    throw config(`${path} must be a string of 1 to 64 characters, got ${show(value)}`, {
      path,
      value,
    });
  return value;
}

function ringBytes(value: unknown): number {
  const bytes = integer(value, 'limits.ringBytes', {
    least: 64 << 10,
    most: 1 << 28,
    fallback: MIB,
  });
  if ((bytes & (bytes - 1)) !== 0)
    throw config(`limits.ringBytes must be a power of two, got ${bytes}`, {
      path: 'limits.ringBytes',
      value: bytes,
    });
  return bytes;
}

function diskSettings(value: unknown): DiskSettings | null {
  if (value === undefined || value === 'memory') return null;
  if (typeof value !== 'object' || value === null)
    throw config(`durability must be 'memory' or { dir, fsync, intervalMs }, got ${show(value)}`, {
      path: 'durability',
      value,
    });
  const disk = section(value, 'durability', DISK_NAMES);
  const { dir, fsync = 'batch' } = disk;
  const mode = FSYNC_MODES.find((known) => known === fsync);
  if (mode === undefined)
    throw config(`durability.fsync must be ${FSYNC_MODES.join(', ')}, got ${show(fsync)}`, {
      path: 'durability.fsync',
      value: fsync,
      allowed: FSYNC_MODES,
    });
  return {
    dir: directory(dir),
    fsync: mode,
    intervalMs: integer(disk['intervalMs'], 'durability.intervalMs', {
      least: 1,
      most: 10_000,
      fallback: 50,
    }),
  };
}

function directory(value: unknown): string {
  if (value instanceof URL && value.protocol === 'file:') return fileURLToPath(value);
  if (typeof value === 'string' && value.length > 0) return resolve(value);
  throw config(`durability.dir must be a path or a file: URL, got ${show(value)}`, {
    path: 'durability.dir',
    value,
  });
}

export function timeout(value: unknown, fallback: number): number {
  return integer(value, 'timeoutMs', { least: 1, most: DAY_MS, fallback });
}

function checkSignal(value: unknown): void {
  if (value === undefined) return;
  // Not `instanceof`: test runners bring an AbortSignal of their own.
  const { aborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return;
  throw config(`signal must be an AbortSignal, got ${show(value)}`, { path: 'signal', value });
}

/**
 * Options of one call. A misspelt condition that is silently ignored would overwrite what it was to protect.
 *
 * @param also names beside `signal` and `timeoutMs`.
 * @throws {VrError} VR_CONFIG
 */
export function checkCall(options: CallOptions | undefined, also: readonly string[] = []): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null) section(options, '', CALL_NAMES);
  for (const name in options)
    if (name !== 'signal' && name !== 'timeoutMs' && !also.includes(name))
      section(options, '', [...CALL_NAMES, ...also]);
  checkSignal(options.signal);
}

/** @throws {VrError} VR_CONFIG */
export function drainTime(options: unknown, fallback: number): number {
  const { drainMs } = section(options, '', ['drainMs']);
  return integer(drainMs, 'drainMs', { least: 0, most: DAY_MS, fallback });
}

/** The name of a link. @throws {VrError} VR_CONFIG */
export function linkName(options: unknown, fallback: string): string {
  return text(section(options, '', ['name'])['name'], 'name', fallback);
}

/** @throws {VrError} VR_CONFIG */
export function attempts(value: unknown, fallback: number): number {
  return integer(value, 'attempts', { least: 1, most: MIB, fallback });
}

/** @throws {VrError} VR_CONFIG */
export function openSettings(options: OpenOptions): Settings {
  const top = section(options, '', OPEN_NAMES);
  const batch = section(top['batch'], 'batch', BATCH_NAMES);
  const timing = section(top['timing'], 'timing', TIMING_NAMES);
  const limits = section(top['limits'], 'limits', LIMIT_NAMES);
  checkSignal(top['signal']);
  const replicas = integer(top['replicas'], 'replicas', { least: 1, most: 9, fallback: 3 });
  const witnesses = integer(top['witnesses'], 'witnesses', { least: 0, most: 9, fallback: 0 });
  const shape = invalidShape(replicas, witnesses);
  if (shape !== null) throw config(shape, { path: 'witnesses', value: witnesses });
  const heartbeatMs = integer(timing['heartbeatMs'], 'timing.heartbeatMs', {
    least: TICK_MS,
    most: 10_000,
    fallback: DEFAULT_TIMING.heartbeat * TICK_MS,
  });
  // Of the time in whole ticks, which is what counts.
  const heartbeat = Math.round(heartbeatMs / TICK_MS);
  const leastTimeoutMs = HEARTBEATS_PER_TIMEOUT * heartbeat * TICK_MS;
  const viewTimeoutMs = integer(timing['viewTimeoutMs'], 'timing.viewTimeoutMs', {
    least: leastTimeoutMs,
    most: 600_000,
    fallback: Math.max(DEFAULT_TIMING.viewTimeout * TICK_MS, leastTimeoutMs),
  });
  const leaseMs = integer(timing['leaseMs'], 'timing.leaseMs', {
    least: 0,
    most: viewTimeoutMs,
    fallback: Math.min(LEASE_MS, Math.floor(LEASE_SHARE * viewTimeoutMs)),
  });
  const fixedOps = batch['maxOps'] !== undefined && batch['maxOps'] !== 'auto';
  const maxOps = fixedOps
    ? integer(batch['maxOps'], 'batch.maxOps', { least: 1, most: 4096, fallback: 4096 })
    : DEFAULT_LIMITS.batchMax;
  const clients = integer(limits['clients'], 'limits.clients', {
    least: 1,
    most: 1024,
    fallback: 64,
  });
  const logBytes = integer(limits['logBytes'], 'limits.logBytes', {
    least: MIB,
    most: 2 ** 40,
    fallback: DEFAULT_LIMITS.logBytes,
  });
  const checkpointEvery = integer(top['checkpointEvery'], 'checkpointEvery', {
    least: 4,
    most: 1_000_000,
    fallback: DEFAULT_LIMITS.checkpointEvery,
  });
  const protocol: ProtocolLimits = {
    ...DEFAULT_LIMITS,
    window: integer(batch['window'], 'batch.window', { least: 1, most: 1024, fallback: 32 }),
    batchMax: maxOps,
    batchBytes: integer(batch['maxBytes'], 'batch.maxBytes', {
      least: 1024,
      most: 2 * MIB,
      fallback: DEFAULT_LIMITS.batchBytes,
    }),
    lingerUs: integer(batch['lingerMicros'], 'batch.lingerMicros', {
      least: 0,
      most: 100_000,
      fallback: 0,
    }),
    maxSessions: 2 * clients,
    logBytes,
    checkpointEvery,
    checkpointBytes: Math.floor(logBytes / CHECKPOINTS_PER_LOG),
    retain: 2 * checkpointEvery,
  };
  return {
    name: text(top['name'], 'name', 'default'),
    disk: diskSettings(top['durability']),
    replicas,
    witnesses,
    autoRestart: flag(top['autoRestart'], 'autoRestart', true),
    ref: flag(top['ref'], 'ref', true),
    clients,
    storeBytes: integer(limits['storeBytes'], 'limits.storeBytes', {
      least: STORE_BYTES_MIN,
      most: 2 ** 35,
      fallback: 2 ** 30,
    }),
    replicaHeapMiB: integer(limits['replicaHeapMiB'], 'limits.replicaHeapMiB', {
      least: 64,
      most: 65_536,
      fallback: 256,
    }),
    ringBytes: ringBytes(limits['ringBytes']),
    logPretouchBytes: integer(limits['logPretouchBytes'], 'limits.logPretouchBytes', {
      least: 0,
      most: Math.min(logBytes, PRETOUCH_MOST),
      fallback: 0,
    }),
    hangMs: integer(timing['hangMs'], 'timing.hangMs', {
      least: 200,
      most: 600_000,
      fallback: 2000,
    }),
    limits: protocol,
    timing: {
      ...DEFAULT_TIMING,
      heartbeat,
      viewTimeout: Math.round(viewTimeoutMs / TICK_MS),
      leaseMs,
    },
    client: {
      timeoutMs: timeout(top['timeoutMs'], 5000),
      maxOps,
      keyBytes: integer(limits['keyBytes'], 'limits.keyBytes', {
        least: 1,
        most: KEY_BYTES_MAX,
        fallback: KEY_BYTES_MAX,
      }),
      valueBytes: integer(limits['valueBytes'], 'limits.valueBytes', {
        least: 1,
        most: VALUE_BYTES_MAX,
        fallback: VALUE_BYTES_MAX,
      }),
      requestBytes: DEFAULT_LIMITS.requestBytes,
      callsInFlight: integer(limits['callsInFlight'], 'limits.callsInFlight', {
        least: 1,
        most: MIB,
        fallback: 16_384,
      }),
      callsWaiting: integer(limits['callsWaiting'], 'limits.callsWaiting', {
        least: 1,
        most: 16 * MIB,
        fallback: 65_536,
      }),
      sessionWindow: DEFAULT_LIMITS.sessionWindow,
      sessionReplyBytes: DEFAULT_LIMITS.sessionReplyBytes,
      logBytes,
    },
  };
}

/** Of `with`. @throws {VrError} VR_CONFIG */
export function clientDefaults(options: CallDefaults, fallbackMs: number): number {
  return timeout(section(options, '', DEFAULTS_NAMES)['timeoutMs'], fallbackMs);
}

/** Of `attach`: what can be checked before the cluster is asked. @throws {VrError} VR_CONFIG */
export function attachSettings(
  options: ClientOptions,
  linkName: string,
): { name: string; timeoutMs: number | undefined } {
  const top = section(options, '', CLIENT_NAMES);
  checkSignal(top['signal']);
  const { timeoutMs } = top;
  return {
    name: text(top['name'], 'name', linkName),
    timeoutMs: timeoutMs === undefined ? undefined : timeout(timeoutMs, 1),
  };
}

/** @throws {VrError} VR_UNSUPPORTED naming what this runtime lacks. */
export function checkEnvironment(): void {
  const lacking = environmentLack();
  if (lacking === null) return;
  throw new VrError('VR_UNSUPPORTED', `viewstamp cannot run here: ${lacking}`, {
    details: { lacking },
  });
}

function environmentLack(): string | null {
  const scope = globalThis as Record<string, unknown>;
  if (scope['Bun'] !== undefined) return 'Bun is untested';
  if (scope['Deno'] !== undefined) return 'Deno is untested';
  if (scope['window'] !== undefined && scope['document'] !== undefined)
    return 'browsers have no threads of this kind';
  if (typeof SharedArrayBuffer === 'undefined') return 'SharedArrayBuffer is missing';
  if (typeof Atomics === 'undefined' || typeof Atomics.waitAsync !== 'function')
    return 'Atomics.waitAsync is missing';
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    return `Node ${process.versions.node} is older than 20.19`;
  return null;
}
