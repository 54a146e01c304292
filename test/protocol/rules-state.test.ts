// The replica's state is plain data (architecture: cloned and hashed by explorers), and each message has its line.

import { expect, test } from 'vitest';
import { describeEffect, describeReplica } from '../../src/protocol/describe.js';
import { hashState } from '../../src/protocol/state.js';
import { seeded } from '../../src/simulation/seeded.js';
import { StoryMachine } from '../../src/simulation/story-machine.js';
import { doViewChange, entries, prepare, Solo, startViewChange } from './solo.js';

const LOG = entries(5);

test('a clone has the same hash, goes the same way, and shares nothing that changes', () => {
  const solo = new Solo({ id: 1 });
  solo.receive(prepare(LOG, { last: 3 }), startViewChange(2, 1, 'joined'));
  const clone = solo.replica.clone(new StoryMachine(), seeded(5));
  const other = solo.replica.clone(new StoryMachine(), seeded(5));
  expect(hashState(clone.state)).toBe(hashState(solo.state));
  const before = hashState(solo.state);
  const message = doViewChange(2, 1, LOG);
  for (const replica of [clone, other]) {
    replica.step({ type: 'message', message });
    replica.step({ type: 'endOfPass', nowUs: 5, room: [9999, 0, 9999], drainedAt: null });
  }
  expect(clone.state.status).toBe('normal');
  expect(hashState(clone.state)).toBe(hashState(other.state));
  expect(hashState(clone.state)).not.toBe(before);
  expect(hashState(solo.state)).toBe(before);
});

test('a clone takes the unfinished entry along and appends into bytes of its own', () => {
  const solo = new Solo({ id: 0 });
  solo.execute();
  const register = (client: number) =>
    ({ kind: 'register', clientId: [client, 0, 0, 0], nonce: 1, epoch: 0, seenView: 0 }) as const;
  solo.client(register(1));
  const clone = solo.replica.clone(new StoryMachine(), seeded(1));
  solo.client(register(2));
  clone.step({ type: 'client', address: 5, message: register(3) });
  const room = [0, 9999, 9999];
  const chains = [solo.replica, clone].map((replica) => {
    replica.step({ type: 'endOfPass', nowUs: 5, room, drainedAt: null });
    const [entry] = replica.state.log.entries;
    return [
      entry?.count,
      new DataView((entry?.body ?? new Uint8Array(99)).slice().buffer).getUint32(48, true),
    ];
  });
  expect(chains).toEqual([
    [2, 2],
    [2, 3],
  ]);
});

test('effects and replicas have one line each', () => {
  const solo = new Solo({ id: 1 });
  const effects = solo.step({ type: 'message', message: startViewChange(2, 1, 'joined') });
  expect(effects.map(describeEffect)).toEqual([
    'register v1',
    'notice status',
    'send R0 startViewChange R1 v1 joined',
    'send R2 startViewChange R1 v1 joined',
  ]);
  expect(describeReplica(solo.state)).toBe('R1 active v1 view-change op0 c0 a0');
});
