// Scenarios of protocol.md 6 with disks: threads and whole processes that stop between any two transactions, and come back with what
// had been flushed. What reads and writes real disks has tests of its own.

import { expect } from 'vitest';
import { seeded } from '../../src/simulation/seeded.js';
import { head, load } from '../../src/simulation/words.js';
import { scenario } from './scenario.js';

const SMALL = { batchMax: 1, checkpointEvery: 4, retain: 0, tailEntries: 2, messageBytes: 1024 };

scenario(
  'lecture-abc-sync (P4): with the disk of one who had everything, a majority goes on',
  { durability: 'sync' },
  (s) => {
    s.isolate('R2');
    load(s, 10);
    s.settle();
    s.crash('R0');
    s.heal();
    s.isolate('R1');
    s.run(100);
    expect(s.states.filter((state) => state.serving && state.view > 0)).toEqual([]);
    s.restart('R0');
    s.newView(1, 600);
    s.expect('n', 10);
    s.heal();
    s.converge();
  },
);

scenario(
  'restart-primary-same-view (D20, E29): who led a view before its restart leads only a later one',
  { durability: 'sync', flushTicks: 3 },
  (s) => {
    load(s, 5);
    s.settle();
    load(s, 3);
    s.run(1);
    s.crash('R0', { kept: 0 });
    s.restart('R0');
    s.together();
    expect(s.view).toBeGreaterThan(0);
    s.settle();
    s.expect('n', 8);
    s.converge();
  },
);

for (const small of [false, true])
  scenario(
    `kill-all-sync (I20): nothing acknowledged is lost when all stop at once${small ? ', with checkpoints' : ''}`,
    { durability: 'sync', flushTicks: 2, clients: 2, ...(small ? { limits: SMALL } : {}) },
    (s) => {
      const random = seeded(7);
      for (let turn = 0; turn < 8; turn++) {
        load(s, 6);
        s.run(random() % 12);
        s.killAll((_, unflushed) => random() % (unflushed + 1));
        s.coldStart();
        s.newView(s.view, 2000);
      }
      s.settle();
      s.expect('n', 96);
      s.converge();
    },
  );

scenario(
  'govr-09-own-log (R5, P4): who kept its disk fetches only what it missed',
  { durability: 'sync' },
  (s) => {
    load(s, 20);
    s.settle();
    s.run(5);
    const had = head(s, 'R2');
    s.crash('R2');
    load(s, 6);
    s.settle();
    const fetched = s.record({ to: 'R2', kinds: ['newState', 'startView', 'prepare'] });
    s.restart('R2');
    s.together();
    s.until(() => head(s, 'R2') === head(s, 'R0'), 100);
    for (const { message } of fetched.kept)
      if (message.kind === 'newState' || message.kind === 'prepare')
        for (const entry of message.entries) expect(entry.op).toBeGreaterThan(had);
    s.converge();
  },
);
