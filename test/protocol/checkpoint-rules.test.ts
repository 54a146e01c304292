// Rules of checkpoints (protocol.md 3.9), each at one replica.

import { expect, test } from 'vitest';
import type { PrepareOk } from '../../src/protocol/message.js';
import { header, Solo, type SoloOptions } from './solo.js';

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
  const last = log.entries.at(-1);
  const [op, chain] = [last?.op ?? log.start - 1, last?.chain ?? log.baseChain];
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
