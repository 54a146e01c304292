// Scenarios of protocol.md 6.2, the part between replicas: streams, acknowledgements, full rings, slow and paused actors,
// clocks, a full log. Sessions and clients are in scenarios-clients.test.ts.

import { expect } from 'vitest';
import { CHANGED, STORE_FULL } from '../../src/service/operation.js';
import { OperationWriter } from '../../src/service/operation-writer.js';
import { WriteResult } from '../../src/service/result-reader.js';
import { Services } from '../../src/service/services.js';
import type { Call } from '../../src/simulation/story.js';
import { fromHex } from '../../src/simulation/story-machine.js';
import { head, load } from '../../src/simulation/words.js';
import { staleHeartbeats } from './mistakes/failure.js';
import { lostLastOk, ringFullStorm } from './mistakes/normal.js';
import { tsBackwards } from './mistakes/sessions.js';
import { scenario } from './scenario.js';

scenario(
  'pipeline-reorder (N4, N5, N9, T1): Prepares in reverse, some twice, make contiguous logs and cumulative acks',
  { clients: 2, limits: { batchMax: 1, messageBytes: 1 } },
  (s) => {
    const before = head(s, 'R1');
    const held = s.hold({ kinds: 'prepare' });
    const acks = s.record({ kinds: 'prepareOk', from: 'R1' });
    s.drop({ kinds: ['getState', 'commit'] });
    load(s, 20);
    s.run(6);
    expect(head(s, 'R0') - s.state('R0').commitMax).toBe(32); // the window, no more
    expect(head(s, 'R1')).toBe(before);
    held.kept.reverse();
    held.kept.push(...held.kept.filter((_, at) => at % 5 === 0));
    s.release(held);
    s.run(2);
    expect(head(s, 'R1')).toBeGreaterThanOrEqual(before + 32);
    const numbers = acks.kept.flatMap(({ message }) =>
      message.kind === 'prepareOk' ? [message.op] : [],
    );
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(numbers.length).toBeLessThan(32);
    s.converge();
    s.expect('n', 40);
    expect(s.view).toBe(0);
  },
);

scenario(
  'lost-last-ok (HB1, HB3, N6, E22): the acknowledgement of a heartbeat commits what was acknowledged in vain',
  {},
  lostLastOk,
);

scenario(
  'ring-full-storm (BP1, HB1, N8, E39): rings of one frame, one of them full for a second, only cost time',
  { clients: 3 },
  ringFullStorm,
);

scenario(
  'slow-apply (SP2, SP3, BP3): 200 ms in every execute makes nobody suspect the primary',
  { clients: 2, limits: { batchMax: 1 } },
  (s) => {
    s.slowApply('R_', 20);
    load(s, 60);
    s.settle(6000);
    const votes = s.record({ kinds: 'startViewChange' });
    s.run(200);
    expect([votes.hits, s.view]).toEqual([0, 0]);
    s.converge();
    s.expect('n', 120);
  },
);

scenario(
  'gc-pause-primary (VC3, RD2, N6): a primary that slept for two seconds answers nothing as such when it wakes',
  { clients: 2 },
  (s) => {
    load(s, 10);
    s.read('n');
    s.run(1);
    s.pause('R0');
    s.newView();
    s.put('a', 1);
    s.settle();
    s.run(100);
    const late = s.record({
      from: 'R0',
      to: 'clients',
      kinds: ['reply', 'readReply', 'viewStarted'],
    });
    s.resume('R0');
    s.read('a');
    s.together();
    s.run(50);
    expect([late.hits, s.view, s.state('R0').status]).toEqual([0, 1, 'normal']);
    s.converge();
    s.expect('n', 20);
  },
);

scenario(
  'gc-pause-primary (HB5, RD2): one that hears nobody afterwards serves no read and abdicates',
  { clients: 2 },
  (s) => {
    s.put('a', 1);
    s.settle();
    s.pause('R0');
    s.newView();
    s.partition(['R0', 'C0'], ['R1', 'R2', 'C1']);
    s.put('a', 2, 1);
    s.until(() => s.calls.every((call) => call.code === 'ok'));
    s.network.discard(({ to }) => to === 0);
    const read = s.read('a', 0);
    s.resume('R0');
    s.run(200);
    expect([read.code, s.state('R0').view, s.state('R0').abdicating]).toEqual([null, 0, true]);
    s.converge();
    expect(read.value).toBe('2');
  },
);

scenario(
  'stale-heartbeats (HB2, E31): old heartbeats of a dead primary calm nobody',
  {},
  staleHeartbeats,
);

scenario(
  'ts-backwards (DT2, N3, E30): a new primary whose clock is behind, then far ahead, never turns time back',
  { clients: 2 },
  tsBackwards,
);

scenario(
  'log-limit (BP6, CL3): 80 % is told, a full log refuses writes with Busy and goes on answering reads',
  { clients: 3, limits: { logBytes: 8000, batchMax: 1 } },
  (s) => {
    const busy = s.record({ kinds: 'busy' });
    for (let turn = 0; turn < 60; turn++) s.put('a', turn, turn % 2);
    s.until(() => s.client(0).logFull && s.client(1).logFull, 500);
    const pressure = s.notices('R0').flatMap((what) => (what.kind === 'logPressure' ? [what] : []));
    expect(pressure.map(({ full }) => full)).toEqual([false, true]);
    expect(pressure[0]?.usedBytes).toBeLessThan(8000);
    expect(
      busy.kept.every(({ message }) => message.kind === 'busy' && message.reason === 'log'),
    ).toBe(true);
    const used = s.state('R0').log.bytes;
    expect(used).toBeLessThan(8000 + 32 * 300);
    const read = s.read('a', 2);
    s.run(100);
    expect([read.code, s.state('R0').log.bytes]).toEqual(['ok', used]);
    const refused = s.calls.filter((call) => call.code === null);
    expect(refused.length).toBeGreaterThan(0);
    // This log has no room for the first checkpoint, which could free it: these calls stay open.
    for (const call of refused) call.abandoned = true;
    s.converge();
  },
);

scenario(
  'store-limit (DT6, DT1): a full store gives the same error everywhere, changes nothing, and still deletes',
  { clients: 2, services: () => new Services({ storeBytes: 1 << 20 }) },
  (s) => {
    const writer = new OperationWriter();
    const set = (key: string): Call => {
      writer.reset();
      writer.set(key, new Uint8Array(100_000).fill(key.length));
      return s.raw(writer.take(false));
    };
    const statusOf = (call: Call): number => new WriteResult(fromHex(call.value), false).status(0);
    const calls = Array.from({ length: 14 }, (_, at) => set(`key${at}`));
    s.settle();
    const statuses = calls.map(statusOf);
    const stored = statuses.indexOf(STORE_FULL);
    expect(stored).toBeGreaterThan(5);
    expect(statuses.slice(0, stored).every((status) => status === CHANGED)).toBe(true);
    const digest = s.actor('A0').machine?.services?.digest();
    const refused = set('again');
    s.settle();
    expect([statusOf(refused), s.actor('A0').machine?.services?.digest()]).toEqual([
      STORE_FULL,
      digest,
    ]);
    s.restart(s.crash('A0'));
    s.newView(1);
    writer.reset();
    writer.delete('key1');
    const deleted = s.raw(writer.take(false));
    const after = set('key1');
    s.settle();
    expect([statusOf(deleted), statusOf(after)]).toEqual([CHANGED, CHANGED]);
    s.converge();
  },
);
