// How an option is refused: every refusal names the path, the value and what is allowed; an unknown name is refused too, for a misspelt
// limit that is silently ignored is worse than an error.

import { inspect } from 'node:util';
import { VrError } from './errors.js';

export const DAY_MS = 86_400_000;

/** Any value in few words: `String` throws for some. */
export function show(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY, maxStringLength: 60 });
}

export function config(message: string, details: Record<string, unknown>): VrError {
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

export function section(
  value: unknown,
  path: string,
  names: readonly string[],
): Record<string, unknown> {
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
  /** Without one there must be a value. */
  readonly fallback?: number;
}

export function integer(value: unknown, path: string, range: IntegerRange): number {
  if (value === undefined && range.fallback !== undefined) return range.fallback;
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

/** Of a cluster of so many. */
export function replicaId(value: unknown, replicas: number): number {
  return integer(value, 'replica', { least: 0, most: replicas - 1 });
}

export function flag(value: unknown, path: string, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean')
    throw config(`${path} must be true or false, got ${show(value)}`, { path, value });
  return value;
}

export function text(value: unknown, path: string, fallback: string): string {
  if (value === undefined) return fallback;
  if (typeof value !== 'string' || value.length === 0 || value.length > 64)
    throw config(`${path} must be a string of 1 to 64 characters, got ${show(value)}`, {
      path,
      value,
    });
  return value;
}

/** One of a few words. */
export function oneOf<T extends string>(value: unknown, path: string, allowed: readonly T[]): T {
  const known = allowed.find((word) => word === value);
  if (known === undefined)
    throw config(`${path} must be ${allowed.join(', ')}, got ${show(value)}`, {
      path,
      value,
      allowed,
    });
  return known;
}

export function checkSignal(value: unknown): void {
  if (value === undefined) return;
  // Not `instanceof`: test runners bring an AbortSignal of their own.
  const { aborted, addEventListener } = (value ?? {}) as Partial<AbortSignal>;
  if (typeof aborted === 'boolean' && typeof addEventListener === 'function') return;
  throw config(`signal must be an AbortSignal, got ${show(value)}`, { path: 'signal', value });
}
