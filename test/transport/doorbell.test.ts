// The doorbell and the idle strategies on one thread: who sees whom, and that nobody sleeps beside data. That no wake-up is
// lost between two threads is shown by the ring stress run.

import { describe, expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import { Doorbell } from '../../src/transport/doorbell.js';
import {
  type Idler,
  SpinThenBlock,
  SpinThenPark,
  spinBudgetMicros,
} from '../../src/transport/idle.js';

function bell(): { words: Int32Array; doorbell: Doorbell; other: Doorbell } {
  const words = new Int32Array(new SharedArrayBuffer(16));
  return { words, doorbell: new Doorbell(words, 2), other: new Doorbell(words, 2) };
}

const no = (): boolean => false;

describe('doorbell', () => {
  test('rings only a sleeper, and only once', async () => {
    const { words, doorbell, other } = bell();
    expect(other.ring()).toBe(false);
    const sleep = doorbell.park(no);
    expect(Atomics.load(words, 2)).toBe(1);
    expect(other.ring()).toBe(true);
    expect(other.ring()).toBe(false);
    await sleep;
    expect(Atomics.load(words, 2)).toBe(0);
  });

  test('the flag is set before the rings are looked at, so a producer in between is seen by one side', () => {
    const { words, doorbell } = bell();
    let flag = -1;
    const arrivesNow = (): boolean => {
      flag = Atomics.load(words, 2);
      return true;
    };
    expect(doorbell.park(arrivesNow)).toBe(null);
    expect(flag).toBe(1);
    expect(Atomics.load(words, 2)).toBe(0);
  });

  test('a producer that rings between the look and the wait keeps the owner awake', () => {
    const { doorbell, other } = bell();
    const ringsMeanwhile = (): boolean => {
      expect(other.ring()).toBe(true);
      return false; // the data came after this look
    };
    expect(doorbell.park(ringsMeanwhile)).toBe(null);
  });

  test('wake reaches a sleeper whose flag a dead producer has swapped without telling it', async () => {
    const { words, doorbell, other } = bell();
    const sleep = doorbell.park(no);
    Atomics.compareExchange(words, 2, 1, 0); // killed before its notify
    expect(other.ring()).toBe(false);
    other.wake();
    await sleep;
  });

  test('one waiter at a time, and again after waking', async () => {
    const { doorbell, other } = bell();
    const sleep = doorbell.park(no);
    expect(() => doorbell.park(no)).toThrow(ProtocolViolation);
    other.wake();
    await sleep;
    const again = doorbell.park(no);
    other.ring();
    await again;
    expect.assertions(1);
  });

  test('who rests is woken for what presses, and for nothing else', () => {
    const { words, doorbell, other } = bell();
    const ringsMeanwhile = (presses: boolean): { rang: boolean; outcome: string } => {
      let rang = false;
      const look = (): boolean => {
        rang = other.ring(presses);
        return false;
      };
      return { outcome: doorbell.parkBlocking(look, 1, true), rang };
    };
    expect(ringsMeanwhile(false)).toEqual({ rang: false, outcome: 'timed-out' });
    expect(ringsMeanwhile(true)).toEqual({ rang: true, outcome: 'rung' });
    // What came before it began to rest is looked at, pressing or not.
    expect(doorbell.parkBlocking(() => true, 1_000_000, true)).toBe('awake');
    expect(Atomics.load(words, 2)).toBe(0);
  });

  test('who only sleeps is woken for everything', () => {
    const { doorbell, other } = bell();
    const rings = (): boolean => {
      expect(other.ring(false)).toBe(true);
      return false;
    };
    expect(doorbell.parkBlocking(rings, 1_000_000)).toBe('rung');
  });

  test('a blocking park ends by its time, and not at all beside data', () => {
    const { words, doorbell } = bell();
    expect(doorbell.parkBlocking(no, 1)).toBe('timed-out');
    expect(doorbell.parkBlocking(() => true, 1_000_000)).toBe('awake');
    expect(Atomics.load(words, 2)).toBe(0);
  });
});

interface Case {
  readonly name: string;
  make(idler: Idler): { idle(work: number): Promise<unknown> | null; readonly sleeps: number };
}

const CASES: readonly Case[] = [
  { name: 'SpinThenPark', make: (idler) => new SpinThenPark(idler, { spinMicros: 5 }) },
  {
    name: 'SpinThenPark without a spin',
    make: (idler) => new SpinThenPark(idler, { spinMicros: 0 }),
  },
  {
    name: 'SpinThenBlock',
    make: (idler) => new SpinThenBlock(idler, { spinMicros: 5, timeoutMs: () => 1 }),
  },
];

describe.each(CASES)('idle strategy $name', ({ make }) => {
  function idler(options: { data: () => boolean; beforePark?: () => number }): {
    idler: Idler;
    parks: number;
  } {
    const { doorbell } = bell();
    const state = {
      parks: 0,
      idler: {
        doorbell,
        hasData: options.data,
        beforePark: () => {
          state.parks++;
          return options.beforePark?.() ?? 0;
        },
      },
    };
    return state;
  }

  test('after work it does not even look', () => {
    let looks = 0;
    const strategy = make(idler({ data: () => looks++ > 1e9 }).idler);
    expect(strategy.idle(1)).toBe(null);
    expect(looks).toBe(0);
  });

  test('with data it makes the next pass at once', () => {
    const state = idler({ data: () => true });
    const strategy = make(state.idler);
    expect(strategy.idle(0)).toBe(null);
    expect(state.parks).toBe(0);
    expect(strategy.sleeps).toBe(0);
  });

  test('work found before parking is done first', () => {
    const state = idler({ data: no, beforePark: () => 1 });
    const strategy = make(state.idler);
    expect(strategy.idle(0)).toBe(null);
    expect(state.parks).toBe(1);
    expect(strategy.sleeps).toBe(0);
  });

  test('without anything it sleeps until it is rung', async () => {
    const state = idler({ data: no });
    const strategy = make(state.idler);
    const slept = strategy.idle(0);
    expect(strategy.sleeps).toBe(1);
    state.idler.doorbell.wake();
    await slept;
    expect(state.parks).toBe(1);
  });
});

test('a sleep that nobody ends beside data is counted: the stress run must not see one', () => {
  const { doorbell } = bell();
  let looks = 0;
  const hasData = (): boolean => ++looks > 2; // none while it falls asleep, some when it wakes by itself
  const strategy = new SpinThenBlock(
    { doorbell, hasData, beforePark: () => 0 },
    { spinMicros: 0, timeoutMs: () => 1 },
  );
  strategy.idle(0);
  expect(strategy.overslept).toBe(1);
});

test('the spin is short where threads share cores', () => {
  expect(spinBudgetMicros(4, 1)).toBe(0);
  expect(spinBudgetMicros(4, 2)).toBe(5);
  expect(spinBudgetMicros(5, 4)).toBe(5);
  expect(spinBudgetMicros(4, 4)).toBeGreaterThan(5);
});
