// What every service must do, whatever it does: one suite, run over each.

import { expect, test } from 'vitest';
import { SERVICE_ECHO } from '../../src/service/operation.js';
import { OperationWriter } from '../../src/service/operation-writer.js';
import { addOp, CONTEXT, call, dice, filled, Store, text } from './world.js';

interface Case {
  readonly name: string;
  /** Request number `n` of a history. */
  write(n: number, roll: (n: number) => number): Uint8Array;
  read(n: number, roll: (n: number) => number): Uint8Array;
}

const CASES: readonly Case[] = [
  {
    name: 'kv',
    write(n, roll) {
      const writer = new OperationWriter();
      for (let i = roll(6); i >= 0; i--) {
        const key = `k${roll(60)}`;
        const kind = roll(9);
        if (kind < 3) addOp(writer, { type: 'delete', key });
        else if (kind < 5) addOp(writer, { type: 'incr', key, by: n });
        else addOp(writer, { type: 'set', key, value: filled(roll(200), n) });
      }
      return writer.take(roll(3) === 0);
    },
    read(_n, roll) {
      const writer = new OperationWriter();
      for (let i = roll(6); i >= 0; i--) writer.getItem(`k${roll(60)}`);
      return writer.take(false);
    },
  },
  {
    name: 'echo',
    write: (n, roll) => Uint8Array.from([SERVICE_ECHO, ...filled(roll(300), n)]),
    read: (n, roll) => Uint8Array.from([SERVICE_ECHO, ...filled(roll(300), n)]),
  },
];

for (const service of CASES) {
  test(`DT1 ${service.name}: equal histories give equal results, digests and pages`, () => {
    const [a, b] = [new Store(), new Store()];
    const roll = dice(11);
    for (let n = 0; n < 500; n++) {
      const request = service.write(n, roll);
      const query = service.read(n, roll);
      expect(text(call(a.services, request, 'apply'))).toBe(
        text(call(b.services, request, 'apply')),
      );
      expect(text(call(a.services, query, 'read'))).toBe(text(call(b.services, query, 'read')));
      if (n % 100 === 0) a.services.digest(); // asking in between changes nothing
    }
    expect(a.digest).toBe(b.digest);
    expect(a.image().equals(b.image())).toBe(true);
  });

  test(`DT1 ${service.name}: nothing but state and request matters`, () => {
    const [a, b] = [new Store(), new Store()];
    const roll = dice(12);
    for (let n = 0; n < 100; n++) {
      const request = service.write(n, roll);
      const results = [a, b].map((store, i) => {
        const sink = { bytes: new Uint8Array(1 << 16), length: 0, reserve: () => sink.length };
        const context = { ...CONTEXT, op: n + i, ts: n * 7 * i, seed: i, idx: i };
        store.services.apply(context, request, 0, request.length, sink);
        return text(sink.bytes.subarray(0, sink.length));
      });
      expect(results[0]).toBe(results[1]);
    }
    expect(a.digest).toBe(b.digest);
  });

  test(`RD1 ${service.name}: reads change nothing`, () => {
    const store = new Store();
    const roll = dice(13);
    for (let n = 0; n < 100; n++) call(store.services, service.write(n, roll), 'apply');
    const image = store.image();
    for (let n = 0; n < 300; n++) call(store.services, service.read(n, roll), 'read');
    expect(store.image().equals(image)).toBe(true);
  });
}

test('DT1 a different history gives a different digest', () => {
  const digests = new Set<string>();
  const store = new Store();
  for (let n = 0; n < 1000; n++) {
    store.one({ type: 'incr', key: 'n', by: 1 });
    digests.add(store.digest);
  }
  expect(digests.size).toBe(1000);
});

test('the counters of requests and reads count', () => {
  const store = new Store();
  store.one({ type: 'incr', key: 'n', by: 1 });
  store.get('n');
  store.get('n');
  expect(store.services).toMatchObject({ requests: 1, reads: 2 });
});
