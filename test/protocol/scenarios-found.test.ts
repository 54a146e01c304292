// What random runs found, told as short stories.

import { expect, test } from 'vitest';
import { DEFAULT_CLIENT_TIMING } from '../../src/protocol/client/state.js';
import { ClientSession } from '../../src/protocol/client.js';
import { seeded } from '../../src/simulation/seeded.js';
import { scenario } from './scenario.js';

/** A read waits for its client's own write, the write waits behind another read in the ring: neither may wait for the other. */
scenario(
  'reads-before-lost-writes (RD0, N1, I22): reads that wait for writes leave room for what is behind them',
  { limits: { waitingReads: 2 }, clientTiming: { retry: 20, retryMax: 40 } },
  (s) => {
    const lost = s.drop({ from: 'C0', kinds: 'request' });
    s.put('a', 1);
    const reads = [s.read('a'), s.read('a'), s.read('a')];
    s.run(10);
    s.release(lost);
    s.put('b', 2);
    s.settle();
    expect(reads.map(({ value }) => value)).toEqual(['1', '1', '1']);
    s.converge();
  },
);

/** The clock goes back an hour while an entry waits for company. */
scenario(
  'linger-clock-back (N3, DT2): a clock that goes back does not keep an unfinished entry waiting',
  { limits: { lingerUs: 20_000 } },
  (s) => {
    const call = s.put('a', 1);
    s.until(() => s.state('A0').building.sinceUs > 0, 5);
    s.skewClock('A0', -3_600_000_000);
    s.until(() => call.code === 'ok', 20);
    s.converge();
  },
);

/** More clients than sessions: each registers, and loses its session to another before its read arrives. */
test('session-thrash (CS1, CL3): who loses one session after the other waits a random while before the next', () => {
  let drawn = 0;
  const client = new ClientSession({
    freshClientId: () => [1, 2, 3, ++drawn],
    freshNonce: () => drawn + 1,
    replicas: 3,
    actives: 3,
    timing: DEFAULT_CLIENT_TIMING,
    sessionWindow: 4,
    sessionReplyBytes: 1 << 16,
    readsMax: 4,
    home: 1,
    random: seeded(1),
  });
  const room = [1 << 16, 1 << 16, 1 << 16];
  const about = { gen: 0, epoch: 0, view: 0, op: 1, idx: 0, code: 'ok', nonce: 0 } as const;
  const result = new Uint8Array(0);
  const opened = (): number => {
    let ticks = 0;
    for (; !client.wantsFlush; ticks++)
      client.step({ type: 'tick', count: 1, ring: { written: 0, read: 0 } });
    client.step({ type: 'flush', room });
    const { clientId } = client;
    const session = 4096 * drawn;
    const nonce = drawn + 1;
    const reply = {
      ...about,
      kind: 'reply',
      clientId,
      session,
      requestNumber: 0,
      nonce,
      result,
    } as const;
    client.step({ type: 'message', from: 0, message: reply });
    return ticks;
  };
  const evict = (): void => {
    const { clientId, session } = client;
    client.step({ type: 'message', from: 0, message: { kind: 'evicted', clientId, session } });
  };
  client.step({ type: 'open' });
  opened();
  client.step({ type: 'read', token: 1, body: result, level: null });
  const pauses = [0, 1, 2, 3, 4, 5, 6, 7].map(() => {
    evict();
    return opened();
  });
  expect(pauses[0]).toBe(0);
  expect(new Set(pauses.slice(1)).size).toBeGreaterThan(3);
  expect(Math.max(...pauses)).toBeLessThanOrEqual(DEFAULT_CLIENT_TIMING.notPrimary * 32);
  // An answer, and the next loss is a first one again.
  const { clientId } = client;
  const answer = { ...about, kind: 'readReply', clientId, readId: 1, result } as const;
  client.step({ type: 'message', from: 0, message: answer });
  evict();
  expect(opened()).toBe(0);
});

/** Nobody is left to skip to: view after view would be left at the speed of messages until the word is forgotten. */
scenario(
  'hint-all-exited (HH3, I25): false word that every active has ended starts no race through the views',
  { replicas: 3, witnesses: 1 },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.tell('R_', { kind: 'exited', id: 0, start: 1 });
    s.tell('R_', { kind: 'exited', id: 1, start: 1 });
    s.run(300);
    expect(s.view).toBeLessThan(10);
    s.put('b', 2);
    s.converge();
    s.expect('b', 2);
  },
);

/** R2 hears that view 0 is left and cannot say so to any replica, but clients hear it. */
scenario(
  'client-of-later-view (N1, VC3, L2): a view that only a client knows of is entered by whoever it asks',
  { clientTiming: { retry: 10, retryMax: 20 } },
  (s) => {
    s.drop({ from: 'R2', to: ['R0', 'R1'] });
    s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
    s.until(() => s.state('R2').view === 1, 50);
    s.run(5);
    expect([s.state('R0').view, s.state('R1').view]).toEqual([0, 0]);
    const deaf = s.drop({ from: 'R0', to: 'C0' });
    const call = s.put('a', 1);
    s.until(() => s.client(0).session.view === 1, 200);
    deaf.end();
    s.until(() => call.code === 'ok', 300, 'an answer');
    s.converge();
  },
);
