// Rare paths that seeds do not reach by chance, each with the shortest script that takes it.

import type { Mark, MarkSink } from '../../src/protocol/marks.js';
import type { GetState } from '../../src/protocol/message.js';
import { donorMovesOn } from '../protocol/donor-stories.js';
import { entries, header, ORIGIN, Solo, startView } from '../protocol/solo.js';

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

export const RARE_PATHS: readonly {
  readonly mark: Mark;
  readonly script: (marks: MarkSink) => void;
}[] = [
  { mark: 'transferMismatch', script: transferMismatch },
  { mark: 'checkpointMoved', script: (marks) => donorMovesOn({ marks }) },
];
