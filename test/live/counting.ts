// What every live test asks in the end: is every acknowledged write there, exactly once? Writers increment a counter each and
// remember what was acknowledged; an increment with an unknown outcome may have run once or never, anything else is a loss.

import { type Client, VrError } from 'viewstamp';
import { expect } from 'vitest';

export interface Tally {
  acknowledged: number;
  unknown: number;
  refused: number;
  /** Longest time between two acknowledgements, ms. */
  gapMs: number;
}

/** Increments `key` with `width` calls open until `stop` is called. */
export function countUp(client: Client, key: string, width = 16): { stop(): Promise<Tally> } {
  const tally: Tally = { acknowledged: 0, unknown: 0, refused: 0, gapMs: 0 };
  let running = true;
  let last = performance.now();
  const writer = async (): Promise<void> => {
    while (running) {
      try {
        await client.kv.incr(key);
        const now = performance.now();
        tally.gapMs = Math.max(tally.gapMs, now - last);
        last = now;
        tally.acknowledged++;
      } catch (error) {
        if (!VrError.is(error)) throw error;
        if (error.outcome === 'unknown') tally.unknown++;
        else tally.refused++;
        if (!error.retryable) return;
      }
    }
  };
  const writers = Array.from({ length: width }, writer);
  return {
    async stop() {
      running = false;
      await Promise.all(writers);
      return tally;
    },
  };
}

/** I12 seen from outside: nothing acknowledged is missing, nothing was executed twice. */
export async function expectExactlyOnce(client: Client, key: string, tally: Tally): Promise<void> {
  const value = ((await client.kv.get(key)) ?? 0) as number;
  expect(value).toBeGreaterThanOrEqual(tally.acknowledged);
  expect(value).toBeLessThanOrEqual(tally.acknowledged + tally.unknown);
}

/** Waits until every replica is normal again. */
export async function allNormal(client: Client, withinMs = 30_000): Promise<void> {
  const end = performance.now() + withinMs;
  for (;;) {
    const status = await client.status();
    if (status.healthy && status.replicas.every((replica) => replica.state === 'normal')) return;
    if (performance.now() > end)
      throw new Error(`not normal again: ${JSON.stringify(status.replicas)}`);
    await pause(10);
  }
}

/** Waits until all executing replicas have executed the same, and compares their digests (I11). */
export async function equalDigests(client: Client): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const { replicas } = await client.status();
    const actives = replicas.filter((replica) => replica.role !== 'witness');
    const applied = new Set(actives.map((replica) => replica.appliedNumber));
    if (applied.size === 1) {
      expect(new Set(actives.map((replica) => replica.digest)).size).toBe(1);
      return;
    }
    if (attempt > 500) throw new Error(`replicas do not catch up: ${JSON.stringify(replicas)}`);
    await pause(10);
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export async function untilTrue(condition: () => boolean, withinMs = 20_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the awaited condition did not come');
    await pause(5);
  }
}
