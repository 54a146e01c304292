// What the explorer may leave out of the transfer of checkpoints: only what its receiver ignores now and for ever.

import { expect, test } from 'vitest';
import type { CheckpointMessage } from '../../src/protocol/message.js';
import { hashState } from '../../src/protocol/state.js';
import { isDead } from '../../src/simulation/explorer/mail.js';
import { makeScope } from '../../src/simulation/explorer/scope.js';
import { chainOf, entries, header, Solo, startView } from './solo.js';

const VIEW = 2;
const SCOPE = makeScope('test', {}, {});
const NOTHING = new Uint8Array(0);
const NO_ROOT = [0, 0, 0, 0] as const;

/** Replica 1 enters view 2, whose log begins above all it has: it asks for a checkpoint. */
function fetching(): { solo: Solo; reqId: number } {
  const log = entries(20, 1);
  const solo = new Solo();
  const ladder = [20, 15].map((op) => ({ op, chain: chainOf(log, op) }));
  const sent = solo.receive(
    startView(2, VIEW, log, { logStart: 16, cpOp: 15, commitMax: 20, ladder, tail: [] }),
  );
  const ask = sent.find((message) => message.kind === 'getCheckpoint');
  expect(ask).toMatchObject({ minOp: 15 });
  return { solo, reqId: ask?.kind === 'getCheckpoint' ? ask.reqId : -1 };
}

function messages(view: number, reqId: number): CheckpointMessage[] {
  const common = { ...header(2, view), reqId };
  const at = { cpOp: 15, list: 0, indices: [0] };
  return [
    { kind: 'getCheckpoint', ...common, minOp: 0 },
    { kind: 'getNodes', ...common, ...at, level: 1 },
    { kind: 'getPages', ...common, ...at },
    {
      kind: 'checkpointMeta',
      ...common,
      ...{ cpOp: 0, cpChain: NO_ROOT, root: NO_ROOT, pageCounts: [], tops: NOTHING },
      status: 'gone',
    },
    { kind: 'nodes', ...common, ...at, level: 1, hashes: NOTHING, status: 'gone' },
    { kind: 'pages', ...common, ...at, bytes: NOTHING, status: 'gone' },
  ];
}

test('CP6, E27: an answer that nobody waits for is dead, unless it tells of a later view; a question never is', () => {
  const dead: string[] = [];
  for (const offset of [0, 1, -1])
    for (const view of [VIEW - 1, VIEW, VIEW + 1]) {
      const { reqId } = fetching();
      for (const message of messages(view, reqId + offset)) {
        const { solo } = fetching();
        const before = hashState(solo.state);
        const judged = isDead(solo.state, message, SCOPE);
        const sent = solo.receive(message);
        const heard = sent.length > 0 || hashState(solo.state) !== before;
        expect(heard, `${message.kind} v${view} #${offset}`).toBe(!judged);
        if (judged) dead.push(`${message.kind} v${view}`);
      }
    }
  expect(new Set(dead)).toEqual(
    new Set(['checkpointMeta', 'nodes', 'pages'].flatMap((kind) => [`${kind} v1`, `${kind} v2`])),
  );
});

test('CP6: once nobody fetches any more every answer is dead that names no later view', () => {
  const solo = new Solo();
  for (const message of messages(0, 5)) {
    const question = message.kind.startsWith('get');
    expect(isDead(solo.state, message, SCOPE)).toBe(!question);
    expect(isDead(solo.state, { ...message, view: 1 }, SCOPE)).toBe(false);
  }
});
