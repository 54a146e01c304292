// Scenarios of protocol.md 6.5 and the parts of others that need checkpoints: logs that are cut, replicas that come back by pages.

import { expect } from 'vitest';
import { head, load } from '../../src/simulation/words.js';
import { scenario } from './scenario.js';

/** A checkpoint every four entries of one request, and nothing kept below it. */
const SMALL = { batchMax: 1, checkpointEvery: 4, retain: 0, tailEntries: 2, messageBytes: 1024 };

scenario(
  'CP1, CP5: checkpoints have equal roots everywhere, and the log keeps what lies above them',
  { limits: SMALL },
  (s) => {
    for (let round = 0; round < 10; round++) {
      load(s, 4);
      s.settle();
      s.run(10);
    }
    for (const state of s.states) {
      expect(state.checkpoints.map(({ op }) => op)).toEqual([36, 40]);
      expect([state.log.start, head(s, `R${state.id}`)]).toEqual([41, 42]);
      expect(state.checkpoints).toEqual(s.state('R0').checkpoints);
    }
    s.converge();
  },
);

scenario(
  'lili-growing-log (R5, CP6): whoever lost its memory comes back by the pages of a checkpoint',
  { limits: SMALL },
  (s) => {
    load(s, 41);
    s.settle();
    s.crash('R2');
    load(s, 3);
    s.settle();
    s.restart('R2');
    s.together();
    s.run(5);
    expect(s.notices('R2').filter(({ kind }) => kind === 'fetched')).toHaveLength(1);
    s.expect('n', 44);
    s.converge();
  },
);

scenario(
  'T2, CP6: who was cut off for longer than the log reaches fetches what differs',
  { limits: SMALL },
  (s) => {
    load(s, 20);
    s.settle();
    s.isolate('R2');
    load(s, 41);
    s.settle();
    s.heal();
    s.together();
    s.run(20);
    expect(s.notices('R2').filter(({ kind }) => kind === 'fetched')).toHaveLength(1);
    expect(head(s, 'R2')).toBe(head(s, 'R0'));
    s.expect('n', 61);
    s.converge();
  },
);
