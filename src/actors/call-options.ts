// Options of calls and clients, checked where they are given.

import type { LocalLevel } from '../protocol/client-event.js';
import { ANY_AGE } from '../protocol/message.js';
import type { CallDefaults, CallOptions, ClientOptions } from './api.js';
import {
  checkSignal,
  config,
  DAY_MS,
  flag,
  integer,
  section,
  show,
  text,
} from './option-checks.js';

const CLIENT_NAMES = ['name', 'timeoutMs', 'consistency', 'joinTimeoutMs', 'ref', 'signal'];
/** Of joining: it may have to wait for a view change. */
const JOIN_MS = 30_000;
const DEFAULTS_NAMES = ['timeoutMs', 'consistency'];
const CALL_NAMES = ['signal', 'timeoutMs'];
/** Tries of one `update` at most. */
const ATTEMPTS_MOST: number = 1 << 20;

export function timeout(value: unknown, fallback: number): number {
  return integer(value, 'timeoutMs', { least: 1, most: DAY_MS, fallback });
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
  return integer(value, 'attempts', { least: 1, most: ATTEMPTS_MOST, fallback });
}

export interface ClientDefaults {
  readonly timeoutMs: number;
  /** Of reads; null: linearizable. */
  readonly level: LocalLevel | null;
}

/** Of `with`. @throws {VrError} VR_CONFIG */
export function clientDefaults(
  options: CallDefaults,
  fallback: ClientDefaults,
  viewTimeoutMs: number,
): ClientDefaults {
  const { timeoutMs, consistency } = section(options, '', DEFAULTS_NAMES);
  return {
    timeoutMs: timeout(timeoutMs, fallback.timeoutMs),
    level: levelOf(consistency, fallback.level, viewTimeoutMs),
  };
}

const LEVELS = ['linearizable', 'session', 'local', '{ maxStaleMs }'];

/**
 * What a read asks of whoever answers it; null: the primary.
 *
 * @param viewTimeoutMs for 'session': who has heard nothing for so long may be alone without knowing it
 * @throws {VrError} VR_CONFIG
 */
export function levelOf(
  consistency: unknown,
  fallback: LocalLevel | null,
  viewTimeoutMs: number,
): LocalLevel | null {
  if (consistency === undefined) return fallback;
  if (typeof consistency === 'object' && consistency !== null) {
    const { maxStaleMs } = section(consistency, 'consistency', ['maxStaleMs']);
    const range = { least: 1, most: DAY_MS };
    return { session: false, maxStaleMs: integer(maxStaleMs, 'consistency.maxStaleMs', range) };
  }
  switch (consistency) {
    case 'linearizable':
      return null;
    case 'session':
      return { session: true, maxStaleMs: viewTimeoutMs };
    case 'local':
      return { session: false, maxStaleMs: ANY_AGE };
  }
  throw config(`consistency must be ${LEVELS.join(', ')}, got ${show(consistency)}`, {
    path: 'consistency',
    value: consistency,
    allowed: LEVELS,
  });
}

/** Of `attach`: what can be checked before the cluster is asked. @throws {VrError} VR_CONFIG */
export function attachSettings(
  options: ClientOptions,
  linkName: string,
): { name: string; defaults: CallDefaults; joinMs: number; ref: boolean } {
  const top = section(options, '', CLIENT_NAMES);
  checkSignal(top['signal']);
  const { timeoutMs, consistency } = options;
  const defaults = {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(consistency === undefined ? {} : { consistency }),
  };
  clientDefaults(defaults, { timeoutMs: 1, level: null }, 1);
  return {
    name: text(top['name'], 'name', linkName),
    defaults,
    joinMs: integer(top['joinTimeoutMs'], 'joinTimeoutMs', {
      least: 1,
      most: DAY_MS,
      fallback: JOIN_MS,
    }),
    ref: flag(top['ref'], 'ref', true),
  };
}
