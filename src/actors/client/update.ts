// Read, compute, write if nobody was faster, again if somebody was. One deadline for all of it; and whatever ends it before a write was
// called, nothing was changed.

import { performance } from 'node:perf_hooks';
import type { CallOptions, Condition, Item, Key, Revision } from '../api.js';
import { attempts, checkCall, timeout } from '../call-options.js';
import { VrError } from '../errors.js';
import { timedOut } from './calls.js';

/** Attempts unless the caller says otherwise. */
const ATTEMPTS = 100;

/** What an update does with the store; undefined of a write: its condition did not hold. */
export interface UpdateSteps<V> {
  readonly timeoutMs: number;
  read(key: Key, call: CallOptions): Promise<Item<V> | undefined>;
  set(key: Key, value: V, call: CallOptions & Condition): Promise<Revision | undefined>;
  remove(key: Key, call: CallOptions & Condition): Promise<Revision | undefined>;
}

export async function update<V>(
  steps: UpdateSteps<V>,
  key: Key,
  change: (current: V | undefined) => V | undefined,
  options: CallOptions & { attempts?: number },
): Promise<Revision> {
  checkCall(options, ['attempts']);
  const { attempts: asked, timeoutMs, ...call } = options;
  const most = attempts(asked, ATTEMPTS);
  if (typeof change !== 'function')
    throw new VrError('VR_CONFIG', `update needs a function, got ${typeof change}`);
  const deadline = performance.now() + timeout(timeoutMs, steps.timeoutMs);
  const rest = (): CallOptions => ({ ...call, timeoutMs: left(deadline) });
  for (let attempt = 0; attempt < most; attempt++) {
    const item = await steps.read(key, rest()).catch(nothingChanged);
    const next = change(item?.value);
    if (next === undefined && item === undefined) return 0;
    const condition: Condition =
      item === undefined ? { ifAbsent: true } : { ifRevision: item.revision };
    const write = { ...rest(), ...condition };
    const revision = await (next === undefined
      ? steps.remove(key, write)
      : steps.set(key, next, write));
    if (revision !== undefined) return revision;
  }
  throw new VrError('VR_OVERLOADED', `the key changed under each of ${most} attempts`, {
    retryable: true,
    details: { key, attempts: most },
  });
}

/** Whole milliseconds, as calls take them. @throws {VrError} VR_TIMEOUT when there are none */
function left(deadline: number): number {
  const ms = Math.ceil(deadline - performance.now());
  if (ms > 0) return ms;
  throw timedOut('not-executed');
}

/** What can be said when a read fails: it may have been sent, but a read is not what the caller asks about. */
function nothingChanged(error: unknown): never {
  if (!VrError.is(error) || error.outcome !== 'unknown') throw error;
  const { code, retryable, details, cause } = error;
  throw new VrError(code, 'the update ended while it read: nothing was changed', {
    retryable,
    details,
    cause,
  });
}
