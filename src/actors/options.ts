// The options of `open` as users write them, checked once and turned into complete settings.

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { invalidShape } from '../protocol/configuration.js';
import {
  DEFAULT_LIMITS,
  DEFAULT_TIMING,
  type ProtocolLimits,
  type ProtocolTiming,
  TICK_MS,
} from '../protocol/limits.js';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../service/operation.js';
import { STORE_BYTES_DEFAULT, STORE_BYTES_MIN } from '../service/paged-heap.js';
import type { OpenOptions } from './api.js';
import { type ClientDefaults, levelOf, timeout } from './call-options.js';
import { VrError } from './errors.js';
import { checkSignal, config, flag, integer, oneOf, section, show, text } from './option-checks.js';

/** What every client has to know. */
export interface ClientSettings extends ClientDefaults {
  /** Whoever has heard nothing of the primary for so long may be alone without knowing it. */
  readonly viewTimeoutMs: number;
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
  'consistency',
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
  'checkpointBytes',
  'logPretouchBytes',
  'replicaHeapMiB',
  'ringBytes',
];
/** Heartbeats that must fit into the silence before a view change (3.17). */
const HEARTBEATS_PER_TIMEOUT = 8;
/** A lease that outlasts the silence before a view change would only delay that (3.17). */
const LEASE_MS = 300;
const LEASE_SHARE = 0.6;
/** So many checkpoints fit into a full log, however large its entries are. */
const CHECKPOINTS_PER_LOG = 4;

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
  const { dir, fsync } = disk;
  return {
    dir: directory(dir),
    fsync: fsync === undefined ? 'batch' : oneOf(fsync, 'durability.fsync', FSYNC_MODES),
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
  const checkpointBytes =
    limits['checkpointBytes'] === undefined
      ? null
      : integer(limits['checkpointBytes'], 'limits.checkpointBytes', {
          least: 64 << 10,
          most: logBytes,
          fallback: 0,
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
    checkpointBytesLeast: checkpointBytes ?? DEFAULT_LIMITS.checkpointBytesLeast,
    checkpointBytes: checkpointBytes ?? Math.floor(logBytes / CHECKPOINTS_PER_LOG),
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
      fallback: STORE_BYTES_DEFAULT,
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
      level: levelOf(top['consistency'], null, viewTimeoutMs),
      viewTimeoutMs,
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
