// Rare paths that seeds do not reach by chance, each with the shortest script that takes it.

import type { Mark, MarkSink } from '../../src/protocol/marks.js';
import type { GetState } from '../../src/protocol/message.js';
import { operation, StoryMachine } from '../../src/simulation/story-machine.js';
import { donorMovesOn } from '../protocol/donor-stories.js';
import { CLIENT, entries, header, ORIGIN, Solo, startView } from '../protocol/solo.js';

/** T3: the donor has moved on to a view whose log differs from what the asker kept. */
function transferMismatch(marks: MarkSink): void {
  const solo = new Solo({ marks });
  const log = entries(40, 1);
  const asked = solo
    .receive(startView(2, 2, log, { tail: [], ladder: [] }))
    .find((message): message is GetState => message.kind === 'getState');
  if (asked === undefined) throw new Error('nothing was asked for');
  solo.receive({
    kind: 'newState',
    ...header(0, 3),
    reqId: asked.reqId,
    purpose: asked.purpose,
    fromOp: asked.fromOp,
    prevChain: ORIGIN,
    entries: [],
    head: 0,
    commitMax: 0,
    logStart: 1,
    status: 'mismatch',
  });
}

/** RD4: the clock moves while the reads are executed, beyond the end of the lease. */
export function leaseRunsOut(marks?: MarkSink): { early: number; late: number; waiting: number } {
  let now = 1000;
  const machine = new StoryMachine();
  const read = machine.read.bind(machine);
  const timing = { leaseMs: 100 };
  const solo = new Solo({ id: 0, timing, clock: () => now, machine, ...(marks && { marks }) });
  solo.execute();
  const ask = (readId: number): void => {
    const body = operation(`${readId}`, 'get', 'a', '');
    const seen = { session: 0, afterRequest: 0, epoch: 0, seenView: 0 };
    solo.client({ kind: 'read', clientId: CLIENT, ...seen, readId, body });
  };
  solo.ticks(6);
  const { hbSeq: hbEcho, log } = solo.state;
  const [op, chain] = [log.start - 1, log.baseChain];
  const none = { cpOp: 0, cpRoot: [0, 0, 0, 0] } as const;
  solo.receive({ kind: 'prepareOk', ...header(1, 0), op, chain, ...none, hbEcho });
  ask(1);
  const early = solo.execute().length;
  machine.read = (...args): void => {
    read(...args);
    now += 60;
  };
  ask(2);
  ask(3);
  const late = solo.execute().length;
  return { early, late, waiting: solo.state.reads.length };
}

export const RARE_PATHS: readonly {
  readonly mark: Mark;
  readonly script: (marks: MarkSink) => void;
}[] = [
  { mark: 'transferMismatch', script: transferMismatch },
  { mark: 'leaseRanOut', script: leaseRunsOut },
  { mark: 'checkpointMoved', script: (marks) => donorMovesOn({ marks }) },
];
