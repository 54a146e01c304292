// Calls made in one turn share requests, and most of them one promise: each still gets its own answer, whatever becomes of its
// neighbours.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type Cluster,
  type Kv,
  type OpenOptions,
  open,
  type PipelineResult,
  type VrError,
} from 'viewstamp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { seeded } from '../../src/simulation/seeded.js';
import { callOne, Model, type Space, spaces } from './call-model.js';

function ascending(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || number > (numbers[i - 1] as number));
}

describe.each<[string, OpenOptions]>([
  ['as opened', {}],
  ['with requests of seven operations', { batch: { maxOps: 7 } }],
  ['with fifty calls in flight', { limits: { callsInFlight: 50 } }],
])('thousands of calls of all kinds, %s', (_how, settings) => {
  test.each([
    ['without options', 0],
    ['a third of them with options', 3],
  ])('%s: each gets its own answer, in the order of the calls', async (_which, share) => {
    await using cluster = await open({ replicas: 1, timeoutMs: 60_000, ...settings });
    const model = new Model(await cluster.kv.set('first', 1));
    const all = spaces(cluster.kv);
    const dice = seeded(7 + share);
    for (let burst = 0; burst < 60; burst++) {
      const size = dice() % 160;
      for (let i = 0; i < size; i++) {
        const own = share > 0 && dice() % share === 0;
        callOne(model, all[dice() % all.length] as Space, dice, own);
      }
      const wait = dice() % 4;
      if (wait === 0) await model.allSettled();
      else if (wait < 3) await nextTurn();
    }
    await model.allSettled();
    expect(model.calls).toBeGreaterThan(3000);
    expect(model.wrong).toEqual([]);
    const disordered = [...model.settled].filter(([, order]) => !ascending(order));
    expect(disordered.map(([sort]) => sort)).toEqual([]);
    for (const { name, kv } of all)
      for (let k = 0; k < 12; k++) expect(await kv.get(`k${k}`)).toEqual(model.now(`${name}k${k}`));
  });
});

/** What becomes of a call: its value, or what is known of its error. */
async function fate(promise: Promise<unknown>): Promise<unknown> {
  return await promise.catch((error: VrError) => `${error.code} ${error.outcome}`);
}

test('a deadline takes what is unsent out of its request, neighbours stay; what was sent runs once', async () => {
  await using cluster = await open({ timeoutMs: 60_000, limits: { callsInFlight: 3 } });
  const hasty = cluster.with({ timeoutMs: 200 }).kv;
  const { kv } = cluster;
  await kv.set('kept', 1);
  for (const id of [0, 1, 2]) await cluster.admin.pause(id);
  const abort = new AbortController();
  // Each fate is asked for at once: one that fails while another is waited for would be unhandled.
  const sent = [hasty.incr('sent'), hasty.incr('sent'), kv.incr('sent', 1, { timeoutMs: 200 })].map(
    fate,
  );
  await nextTurn();
  // The first of these requests is sealed and waits, what follows it is still gathered.
  const unsent: Promise<unknown>[] = [];
  const patient: Promise<unknown>[] = [];
  const aborted: Promise<unknown>[] = [];
  for (let request = 0; request < 3; request++) {
    patient.push(kv.set(`p${request}`, 1), kv.incr('patient'));
    const first = [hasty.set(`u${request}`, 1), hasty.incr('patient'), hasty.delete('kept')];
    patient.push(kv.incr('patient', 10), kv.incr('patient', 100, { timeoutMs: 60_000 }));
    aborted.push(fate(kv.incr('patient', 5, { signal: abort.signal })));
    const counts = [hasty.incr('patient'), hasty.incr('patient', 1, { timeoutMs: 100 })];
    const reads = [hasty.get('kept'), hasty.has('kept'), hasty.get('kept', { timeoutMs: 100 })];
    unsent.push(...[...first, ...counts, ...reads].map(fate));
    patient.push(kv.incr('patient', 1000), kv.get('kept'));
    await nextTurn();
  }
  abort.abort();
  expect(await Promise.all(aborted)).toEqual(aborted.map(() => 'VR_ABORTED not-executed'));
  expect(await Promise.all(unsent)).toEqual(unsent.map(() => 'VR_TIMEOUT not-executed'));
  expect(await Promise.all(sent)).toEqual(sent.map(() => 'VR_TIMEOUT unknown'));
  for (const id of [0, 1, 2]) await cluster.admin.resume(id);
  const answers = await Promise.all(patient);
  expect(answers.filter((_, i) => i % 6 === 4)).toEqual([1111, 2222, 3333]);
  expect(answers.filter((_, i) => i % 6 === 5)).toEqual([1, 1, 1]);
  const keys = ['sent', 'patient', 'kept', 'p0', 'p1', 'p2', 'u0', 'u1', 'u2'];
  const gone = undefined;
  expect([...(await kv.getMany(keys))]).toEqual([3, 3333, 1, 1, 1, 1, gone, gone, gone]);
});

test('close ends what was sent as unknown, and what waits as not executed', async () => {
  const cluster = await open({ replicas: 1, limits: { callsInFlight: 3 } });
  const { kv } = cluster;
  await cluster.admin.pause(0);
  const turns: Promise<unknown>[][] = [];
  for (let turn = 0; turn < 3; turn++) {
    turns.push([kv.incr('n'), kv.get('n'), kv.set('n', 1, { timeoutMs: 60_000 })].map(fate));
    await nextTurn();
  }
  await cluster.close({ drainMs: 0 });
  const [sent, sealed, gathered] = await Promise.all(turns.map((calls) => Promise.all(calls)));
  expect(new Set(sent)).toEqual(new Set(['VR_CLOSED unknown']));
  expect(new Set([...(sealed ?? []), ...(gathered ?? [])])).toEqual(
    new Set(['VR_CLOSED not-executed']),
  );
});

describe('with one replica', () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await open({ replicas: 1 });
  });
  afterAll(async () => {
    await cluster.close();
  });

  test('reads whose answers come in several parts, between absent keys and has', async () => {
    const kv = cluster.kv.namespace<Uint8Array>('large/', { encoding: 'bytes' });
    const json = cluster.kv.namespace('large/', { encoding: 'json' });
    const value = (i: number): Uint8Array => new Uint8Array(200 << 10).fill(i + 1);
    await Promise.all(Array.from({ length: 40 }, (_, i) => kv.set(`${i}`, value(i))));
    // More than one reply holds.
    expect((await kv.getMany(Array.from({ length: 40 }, (_, i) => `${i}`))).oneSnapshot).toBe(
      false,
    );
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => [
        kv.get(`gone ${i}`),
        kv.get(`${i}`),
        kv.has(`${i}`),
        kv.has(`gone ${i}`),
        i % 9 === 4 ? kv.get(`${i}`, { timeoutMs: 60_000 }) : kv.get(`${i}`),
        fate(json.get(`${i}`)),
      ]).map((calls) => Promise.all(calls)),
    );
    for (const [i, [absent, got, has, hasNot, again, undecodable]] of answers.entries()) {
      expect([absent, has, hasNot]).toEqual([undefined, true, false]);
      expect(Buffer.compare(got as Uint8Array, value(i))).toBe(0);
      expect(Buffer.compare(again as Uint8Array, value(i))).toBe(0);
      expect(undecodable).toBe('VR_CODEC not-executed');
    }
  });

  const REFUSED: [string, (kv: Kv) => Promise<unknown>, string][] = [
    ['a key too long', (kv) => kv.get('k'.repeat(1025)), 'VR_KEY_INVALID'],
    ['a malformed key to read', (kv) => kv.has('a\ud800'), 'VR_KEY_INVALID'],
    ['a malformed key to write', (kv) => kv.set('a\ud800', 1), 'VR_KEY_INVALID'],
    ['a malformed key to delete', (kv) => kv.delete('\udc00'), 'VR_KEY_INVALID'],
    ['an empty key', (kv) => kv.incr(''), 'VR_KEY_INVALID'],
    ['a function', (kv) => kv.set('bad', () => 1), 'VR_CODEC'],
    ['malformed text', (kv) => kv.set('bad', 'x'.repeat(9000).concat('\ud800')), 'VR_CODEC'],
    ['malformed text deep inside', (kv) => kv.set('bad', [{ a: '\ud800' }]), 'VR_CODEC'],
    ['a value too large', (kv) => kv.set('bad', 'ü'.repeat(600_000)), 'VR_VALUE_TOO_LARGE'],
    ['a sum by a fraction', (kv) => kv.incr('bad', 0.5), 'VR_OUT_OF_RANGE'],
    ['a misspelt option', (kv) => kv.get('bad', { timeout: 1 } as object), 'VR_CONFIG'],
  ];
  test.each(REFUSED)(
    '%s amid a run of calls changes nothing for its neighbours',
    async (_what, refused, code) => {
      const { kv } = cluster;
      await kv.set('steady', 's');
      const first = (await kv.set('refusals', 0)) as number;
      const answers = await Promise.all([
        kv.set('x', 'before'),
        kv.get('steady'),
        kv.has('x'),
        kv.incr('refusals'),
        fate(refused(kv)),
        kv.incr('refusals'),
        kv.has('no such key'),
        fate(refused(kv)),
        kv.get('no such key'),
        kv.set('x', 'after'),
        kv.get('x'),
      ]);
      expect(answers).toEqual([
        ...[first + 1, 's', true, 1, `${code} not-executed`],
        ...[2, false, `${code} not-executed`, undefined, first + 4, 'after'],
      ]);
      expect([...(await kv.getMany(['x', 'refusals', 'bad']))]).toEqual(['after', 2, undefined]);
    },
  );

  test('a rejection that nobody handles is the only one that is unhandled', async () => {
    const { kv } = cluster;
    await kv.set('word', 'no number');
    const hasty = cluster.with({ timeoutMs: 50 }).kv;
    const wrong = (): Promise<unknown> => fate(kv.incr('word'));
    const late = (i: number): Promise<unknown> =>
      fate(i % 2 === 0 ? hasty.get('a') : hasty.set('a', i));
    expect(await unhandledDuring([wrong, wrong, wrong])).toEqual([]);
    expect(await unhandledDuring([wrong, () => void kv.incr('word'), wrong])).toEqual([
      'VR_WRONG_TYPE',
    ]);
    await cluster.admin.pause(0);
    expect(await unhandledDuring([0, 1, 2, 3, 4, 5].map((i) => () => late(i)))).toEqual([]);
    const forgotten = await unhandledDuring([
      () => late(0),
      () => void hasty.get('a'),
      () => late(0),
      () => late(1),
      () => void hasty.delete('a'),
      () => void hasty.set('a', 1),
      () => late(1),
    ]);
    expect(forgotten).toEqual(['VR_TIMEOUT', 'VR_TIMEOUT', 'VR_TIMEOUT']);
    await cluster.admin.resume(0);
  });

  test('results of a pipeline are the same in any order and however often', async () => {
    const kv = cluster.kv.namespace<Uint8Array>('results/', { encoding: 'bytes' });
    const dice = seeded(11);
    const lengths = [0, 1, 3, 4, 255, 256, 257, 1000, 20_000];
    const values = lengths.map((length) => new Uint8Array(length).map((_, i) => i + length));
    const pipeline = kv.pipeline();
    for (let i = 0; i < 3000; i++) {
      const key = `k${dice() % 40}`;
      const which = dice() % 6;
      if (which < 3) pipeline.get(key);
      else if (which < 5) pipeline.set(key, values[dice() % values.length] as Uint8Array);
      else if (dice() % 2 === 0) pipeline.delete(key);
      else pipeline.incr(key);
    }
    const reads = kv.pipeline();
    for (let i = 0; i < 3000; i++) reads.get(`k${i % 50}`);
    const [mixed, straight] = [await pipeline.submit(), await reads.submit()];
    // One of which nothing is read in order first.
    for (let i = 0; i < 3000; i++) reads.get(`k${i % 50}`);
    const crooked = await reads.submit();
    for (const [orderly, other] of [
      [mixed, mixed],
      [straight, crooked],
    ] as const) {
      const expected = Array.from({ length: orderly.count }, (_, i) => everything(orderly, i));
      const found = expected.map(() => dice() % expected.length);
      for (const i of [...found, 2999, 0, 0, 2999, 2998])
        if (!isDeepStrictEqual(everything(other, i), expected[i]))
          expect({ i, ...everything(other, i) }).toEqual({ i, ...expected[i] });
    }
    const sorts = new Set(Array.from({ length: 3000 }, (_, i) => String(mixed.error(i)?.message)));
    expect([...sorts]).toContain('the stored value is not an integer');
    expect(straight.value(49)).toBeUndefined();
  });

  test('copyValue writes the stored bytes where they fit, and refuses the rest untouched', async () => {
    const kv = cluster.kv.namespace<Uint8Array>('copies/', { encoding: 'bytes' });
    const lengths = [0, 1, 5, 255, 256, 257, 3000];
    const pipeline = kv.pipeline();
    for (const length of lengths) pipeline.set(`${length}`, new Uint8Array(length).fill(7));
    for (const length of lengths) pipeline.get(`${length}`);
    const result = await pipeline.get('absent').submit();
    const target = new Uint8Array(4000);
    const clean = (): boolean => target.every((byte) => byte === 0);
    for (const [place, length] of [...lengths.entries()].reverse()) {
      const i = lengths.length + place;
      for (const offset of [target.length - length + 1, -1, 0.5, Number.NaN])
        expect(() => result.copyValue(i, target, offset)).toThrow(refusal(/from offset/));
      expect(clean()).toBe(true);
      expect(result.copyValue(i, target, 3)).toBe(length);
      expect(target.every((byte, at) => byte === (at >= 3 && at < 3 + length ? 7 : 0))).toBe(true);
      target.fill(0);
      expect(result.copyValue(i, target, target.length - length)).toBe(length);
      target.fill(0);
    }
    expect(result.copyValue(2 * lengths.length, target, 9999)).toBe(-1);
    expect(() => result.copyValue(0, target)).toThrow(refusal(/not a get/));
    for (const i of [-1, 2 * lengths.length + 1, 0.5])
      expect(() => result.copyValue(i, target)).toThrow(refusal(/operation must be from 0 to 14/));
    expect(clean()).toBe(true);
  });

  test("bytes come back equal, and each array is the caller's own", async () => {
    const kv = cluster.kv.namespace<Uint8Array>('bytes/', { encoding: 'bytes' });
    const lengths = [0, 1, 63, 64, 65, 2047, 2048, 2049, 9000];
    const values = lengths.map((length, at) => new Uint8Array(length).fill(at + 1));
    await Promise.all(values.map((value) => kv.set(`${value.length}`, value)));
    const all = (): Promise<(Uint8Array | undefined)[]> =>
      Promise.all([...lengths, ...lengths].map((length) => kv.get(`${length}`)));
    const first = await all();
    expect(first).toEqual([...values, ...values]);
    for (const [at, got] of first.entries()) {
      got?.fill(255);
      for (const [other, untouched] of first.entries())
        if (other > at && !isDeepStrictEqual(untouched, values[other % values.length]))
          expect({ at, other, untouched }).toEqual({
            at,
            other,
            untouched: values[other % values.length],
          });
    }
    const second = await all();
    expect(second).toEqual([...values, ...values]);
    // Refused or, before Node 21, ignored: a neighbour that shares its memory keeps it.
    const given = second[lengths.indexOf(65)] as Uint8Array;
    try {
      structuredClone(given, { transfer: [given.buffer as ArrayBuffer] });
    } catch (error) {
      expect(error).toMatchObject({ name: 'DataCloneError' });
    }
    expect(second).toEqual([...values, ...values]);
    expect(await all()).toEqual([...values, ...values]);
  });
});

function refusal(message: RegExp): unknown {
  return expect.objectContaining({ code: 'VR_CONFIG', message: expect.stringMatching(message) });
}

const copy = new Uint8Array(20_000);

/** All that a result says of operation `i`. */
function everything(result: PipelineResult<Uint8Array>, i: number): object {
  let copied = -2;
  try {
    copied = result.copyValue(i, copy);
  } catch (error) {
    expect(error).toMatchObject({ code: 'VR_CONFIG' });
  }
  const value = result.value(i);
  const bytes = copied >= 0 ? copy.slice(0, copied) : undefined;
  if (copied >= -1 && !isDeepStrictEqual(value, bytes)) expect(bytes).toEqual(value);
  const error = result.error(i)?.message;
  return { ok: result.ok(i), value, copied, revision: result.revision(i), error };
}

/** Makes the calls in one turn. @returns codes of the rejections that nobody handled until all others had their answer. */
async function unhandledDuring(calls: readonly (() => unknown)[]): Promise<unknown[]> {
  // The runner's own listener would fail the run.
  const others = process.listeners('unhandledRejection');
  const seen: unknown[] = [];
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', (error: VrError) => seen.push(error.code));
  try {
    await Promise.all(calls.map((call) => call()));
    await nextTurn();
    await nextTurn();
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const listener of others) process.on('unhandledRejection', listener);
  }
  return seen;
}

test('calls that have ended unsent leave their places to others', async () => {
  const limits = { callsInFlight: 1, callsWaiting: 4 };
  await using cluster = await open({ replicas: 1, timeoutMs: 60_000, limits });
  await cluster.admin.pause(0);
  const sent = cluster.kv.incr('n');
  await nextTurn();
  const sealed = cluster.kv.incr('n');
  await nextTurn();
  const hasty = cluster.with({ timeoutMs: 50 }).kv;
  const ended = await Promise.allSettled([1, 2, 3].map(() => hasty.incr('n')));
  expect(ended.every(({ status }) => status === 'rejected')).toBe(true);
  const next = cluster.kv.incr('n', 1, { timeoutMs: 200 });
  await expect(next).rejects.toMatchObject({ code: 'VR_TIMEOUT' });
  await cluster.admin.resume(0);
  expect([await sent, await sealed]).toEqual([1, 2]);
});

test('an empty pipeline has no result, and a target may grow between two copies', async () => {
  await using cluster = await open({ replicas: 1 });
  const kv = cluster.kv.namespace<Uint8Array>('', { encoding: 'bytes' });
  const empty = await kv.pipeline().submit();
  for (const ask of ['value', 'ok', 'revision', 'error'] as const)
    expect(() => empty[ask](0)).toThrow(expect.objectContaining({ code: 'VR_CONFIG' }));
  const pipeline = kv.pipeline().set('a', new Uint8Array(4)).set('b', new Uint8Array(50));
  const result = await pipeline.get('a').get('b').submit();
  const Growable = ArrayBuffer as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(bytes: number): void };
  const memory = new Growable(8, { maxByteLength: 100 });
  const target = new Uint8Array(memory);
  expect(result.copyValue(2, target)).toBe(4);
  memory.resize(100);
  expect(result.copyValue(3, target)).toBe(50);
});
