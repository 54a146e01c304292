// Rules of checkpoints (protocol.md 3.9), each at one replica.

import { expect, test } from 'vitest';
import { chainAt, head } from '../../src/protocol/log.js';
import type { Entry, NewState, PrepareOk, ReplicaMessage } from '../../src/protocol/message.js';
import { chainOf, entries, header, prepare, Solo, type SoloOptions, startView } from './solo.js';

const EVERY = 4;
const NO_ROOT = [0, 0, 0, 0] as const;

/** Primary 0 with `count` entries of one request each, which everybody holds and it has executed. */
function leading(count: number, options: SoloOptions = {}): Solo {
  const limits = { batchMax: 1, checkpointEvery: EVERY, retain: 0 };
  const solo = new Solo({ id: 0, limits, ...options });
  solo.execute();
  for (let at = 0; at < count; at++)
    solo.client({ kind: 'register', clientId: [9, 9, 9, at], nonce: 1, epoch: 0, seenView: 0 });
  solo.pass();
  for (let id = 1; id < solo.replicas; id++) solo.receive(ok(solo, id, 0));
  solo.execute();
  return solo;
}

/** Acknowledges the head, with a checkpoint at `cpOp`. */
function ok(solo: Solo, from: number, cpOp: number): PrepareOk {
  const { log } = solo.state;
  const op = head(log);
  const chain = chainAt(log, op);
  const cpRoot = cpOp === 0 ? NO_ROOT : ([cpOp, 0, 0, 0] as const);
  return { kind: 'prepareOk', ...header(from, 0), op, chain, cpOp, cpRoot, hbEcho: 0 };
}

function hash(solo: Solo): void {
  solo.step({ type: 'checkpoint', budget: 1000 });
}

test('CP4: an op is stable once f+1 actives have a checkpoint of it, whoever of them comes last', () => {
  for (const ownFirst of [true, false]) {
    const solo = leading(EVERY, { witnesses: 1, mutations: { rootsNotCompared: true } });
    const steps = [() => hash(solo), () => solo.receive(ok(solo, 1, EVERY))];
    if (!ownFirst) steps.reverse();
    steps[0]?.();
    expect([solo.state.stableOp, solo.state.log.start]).toEqual([0, 1]);
    steps[1]?.();
    expect([solo.state.stableOp, solo.state.log.start], `own first: ${ownFirst}`).toEqual([4, 5]);
  }
});

/** A backup that holds `log`, knows that it is committed, and has executed `applied` entries of it, checkpoint by checkpoint. */
function following(id: number, log: readonly Entry[], applied: number): Solo {
  const solo = new Solo({ id, limits: { checkpointEvery: EVERY, retain: 0 } });
  solo.receive(prepare(log, { commitMax: log.length }));
  executed(solo, applied);
  return solo;
}

function executed(solo: Solo, applied: number): void {
  while (solo.state.applied < applied) {
    solo.execute(1);
    hash(solo);
  }
}

/** What `solo` sends and `donor` can answer goes to and fro. @returns what it sends last. */
function fetched(solo: Solo, donor: Solo, first: readonly ReplicaMessage[]): ReplicaMessage[] {
  let asked = [...first];
  while (solo.state.transfer?.fetch !== null) {
    const answers = donor.receive(...asked);
    asked = solo.receive(...answers);
  }
  return asked;
}

/** Answers the request among `sent`. */
function newState(sent: readonly ReplicaMessage[], log: readonly Entry[]): NewState {
  const asked = sent.find((message) => message.kind === 'getState');
  if (asked?.kind !== 'getState') throw new Error('nothing was asked for');
  const { reqId, purpose, fromOp, toOp } = asked;
  return {
    kind: 'newState',
    ...header(2, 2),
    ...{ reqId, purpose, fromOp, prevChain: chainOf(log, fromOp - 1) },
    ...{ entries: log.slice(fromOp - 1, toOp), head: log.length, commitMax: log.length },
    ...{ logStart: 1, status: 'ok' },
  };
}

test('CP3, CP6: the own checkpoint that a fetched one builds on is kept until that is in place, whatever is executed meanwhile', () => {
  const log = entries(50);
  const donor = following(2, log, 40);
  const solo = following(1, log.slice(0, 30), 8);
  const ladder = [50, 40].map((op) => ({ op, chain: chainOf(log, op) }));
  const begun = solo.receive(
    startView(2, 2, log, { logStart: 41, cpOp: 40, commitMax: 50, ladder, tail: [] }),
  );
  const asked = fetched(solo, donor, begun);
  expect(solo.state.transfer?.shadow).toMatchObject({ op: 40, from: 8 });
  executed(solo, 30);
  solo.receive(newState(asked, log));
  const { status, view, applied, commit } = solo.state;
  expect([status, view, applied, commit]).toEqual(['normal', 2, 40, 50]);
  executed(solo, 50);
  executed(donor, 50);
  expect(solo.machine?.digest()).toBe(donor.machine?.digest());
  expect([...solo.state.table.rows]).toEqual([...donor.state.table.rows]);
  expect(solo.state.checkpoints.at(-1)).toEqual(donor.state.checkpoints.at(-1));
});
