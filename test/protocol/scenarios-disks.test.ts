// Scenarios of protocol.md 6 with disks: threads and whole processes that stop between any two transactions, and come back with what
// had been flushed. What reads and writes real disks has tests of its own.

import { expect } from 'vitest';
import { chainAt } from '../../src/protocol/log.js';
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

scenario(
  'lecture-abc-diskloss (P3, D21): without the disk of the one who had everything, all wait for the other who has',
  { durability: 'sync' },
  (s) => {
    s.isolate('R2');
    load(s, 10);
    s.settle();
    s.crash('R0');
    s.disks[0]?.wipe();
    s.heal();
    s.isolate('R1');
    s.restart('R0');
    s.run(400);
    expect(s.states.filter((state) => state.serving && state.view > 0)).toEqual([]);
    expect(s.state('R0').status).toBe('recovering');
    s.heal();
    s.converge();
    s.expect('n', 10);
  },
);

scenario(
  'corrupt-page (P3): a store of which a bit turned is given up, and its replica recovers',
  { durability: 'sync', limits: SMALL, clients: 2 },
  (s) => {
    const random = seeded(11);
    for (let turn = 0; turn < 6; turn++) {
      load(s, 5);
      s.settle();
      s.run(10);
      s.crash('R2');
      expect(s.disks[2]?.rot(random())).toBe(true);
      s.restart('R2');
      expect(s.notices('R2').map(({ kind }) => kind)).toContain('damaged');
      expect(s.state('R2').status).toBe('recovering');
      s.together();
    }
    s.expect('n', 60);
    s.converge();
  },
);

scenario(
  'lost-tail (P1, I20): of what was not flushed any prefix may be left',
  { durability: 'sync', flushTicks: 6, limits: SMALL },
  (s) => {
    for (let kept = 0; kept < 6; kept++) {
      load(s, 8);
      s.run(4);
      s.killAll((_, unflushed) => Math.min(kept, unflushed));
      s.coldStart();
      s.newView(s.view, 2000);
    }
    s.settle();
    s.expect('n', 48);
    s.converge();
  },
);

scenario(
  'promise-before-flush (P2, P5, I21, E28): nothing is acknowledged, or promised, before it is flushed',
  { durability: 'sync', flushTicks: 50 },
  (s) => {
    s.run(60);
    const had = head(s, 'R0');
    const said = s.record({ kinds: ['prepareOk', 'doViewChange'] });
    load(s, 4);
    s.run(10);
    expect(head(s, 'R1')).toBeGreaterThan(had);
    for (const { message } of said.kept)
      if (message.kind === 'prepareOk') expect(message.op).toBeLessThanOrEqual(had);
    expect(s.state('R0').commitMax).toBe(had);
    // In the middle of a flush: the survivors' promises wait for theirs.
    s.crash('R0', { kept: 0 });
    s.tell(['R1', 'R2'], { kind: 'suspect', id: 0 });
    s.run(5);
    expect(said.kept.filter(({ message }) => message.kind === 'doViewChange')).toEqual([]);
    s.newView(1, 600);
    s.settle();
    s.expect('n', 4);
    s.converge();
  },
);

scenario(
  'store-full (P9): a full disk refuses new writes, answers reads, and goes on when there is room',
  { durability: 'sync', clients: 2 },
  (s) => {
    load(s, 3);
    s.settle();
    s.event('R0', { type: 'storeFull', full: true });
    const busy = s.record({ kinds: 'busy' });
    const call = s.incr('n');
    s.run(20);
    expect([call.code, busy.kept.length > 0]).toEqual([null, true]);
    const read = s.read('n', 1);
    s.run(20);
    expect([read.code, read.value]).toEqual(['ok', '6']);
    s.event('R0', { type: 'storeFull', full: false });
    s.settle();
    s.expect('n', 7);
    s.converge();
  },
);

scenario(
  'kill-all-async (P6, H6, I20, G1): what is left is a prefix of what was acknowledged, in a generation of its own',
  { durability: 'async', flushTicks: 9, clients: 2, limits: { batchMax: 2 } },
  (s) => {
    const random = seeded(5);
    for (let turn = 0; turn < 5; turn++) {
      load(s, 10);
      s.run(random() % 20);
      const executed = s.actors.map((actor) => actor?.machine?.history ?? []);
      const longest = executed.reduce((a, b) => (b.length > a.length ? b : a)).slice();
      s.killAll((_, unflushed) => random() % (unflushed + 1));
      // A process that is killed takes its clients along.
      for (let client = 0; client < 2; client++) s.crashClient(client);
      s.coldStart();
      expect(s.gen).toBe(turn + 1);
      s.newView(s.view, 2000);
      s.until(() => s.states.every(({ applied, commit }) => applied === commit), 600);
      s.together();
      s.run(40);
      for (const actor of s.actors) {
        const left = (actor?.machine?.history ?? []).filter(({ tag }) =>
          longest.some((known) => known.tag === tag),
        );
        expect(left).toEqual(longest.slice(0, left.length));
        expect(actor?.machine?.digest()).toBe(s.actor('R0').machine?.digest());
      }
    }
  },
);

scenario(
  'cold-missing-image (E42, P6): who comes later with more than the others went on with gives it up',
  { durability: 'async', flushTicks: 400, limits: { batchMax: 1 } },
  (s) => {
    for (let turn = 0; turn < 6; turn++) {
      load(s, 1);
      s.settle();
      s.run(10);
    }
    s.killAll((id, unflushed) => (id === 2 ? unflushed : 2));
    s.crashClient(0);
    s.coldStart({ later: [2] });
    s.newView(1, 2000);
    s.put('else', 1);
    s.settle();
    s.boot(2);
    s.together();
    s.until(() => head(s, 'R2') === head(s, 'R0'), 400);
    expect(s.starts[2]).toBeGreaterThan(2);
    expect(s.state('R2').gen).toBe(1);
    s.run(20);
    expect(s.actor('R2').machine?.digest()).toBe(s.actor('R0').machine?.digest());
  },
);

scenario(
  'govr-09-own-log (E11, R1): of a disk that is a hint only what was committed counts, not its head',
  { replicas: 5, durability: 'async', limits: { batchMax: 1 } },
  (s) => {
    load(s, 4);
    s.settle();
    s.run(10);
    s.drop({ from: 'R0', to: ['R1', 'R2', 'R3'] });
    const lost = s.incr('x');
    s.until(() => head(s, 'R4') === head(s, 'R1') + 1, 20);
    const op = head(s, 'R4');
    const chain = chainAt(s.state('R4').log, op);
    s.crash('R4', { kept: s.disks[4]?.unflushed ?? 0 });
    s.crash('R0', { mute: true });
    s.crashClient(0);
    lost.abandoned = true;
    s.heal();
    s.newView(1, 600);
    s.put('y', 1);
    s.settle();
    s.restart('R4');
    s.together();
    expect(s.notices('R4').map(({ kind }) => kind)).not.toContain('damaged');
    s.until(() => head(s, 'R4') === head(s, 'R1'), 100);
    expect(chainAt(s.state('R4').log, op)).not.toEqual(chain);
    s.converge();
    s.expect('x', null);
  },
);
