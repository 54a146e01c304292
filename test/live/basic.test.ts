// Every function of the library, on real threads.

import { type Cluster, open } from 'viewstamp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { equalDigests } from './counting.js';

describe.each([
  { replicas: 3, witnesses: 0 },
  { replicas: 3, witnesses: 1 },
  { replicas: 1, witnesses: 0 },
])('a cluster of %o', (shape) => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await open(shape);
  });
  afterAll(async () => {
    await cluster.close();
  });

  test('set, get, has, delete', async () => {
    const { kv } = cluster;
    expect(await kv.get('absent')).toBeUndefined();
    const revision = await kv.set('user:1', { name: 'Ada', tags: ['a', 'b'] });
    expect(await kv.get('user:1')).toEqual({ name: 'Ada', tags: ['a', 'b'] });
    expect(await kv.getItem('user:1')).toMatchObject({
      key: 'user:1',
      revision,
      createdRevision: revision,
    });
    expect(await kv.has('user:1')).toBe(true);
    expect(await kv.delete('user:1')).toBe(true);
    expect(await kv.delete('user:1')).toBe(false);
    expect(await kv.has('user:1')).toBe(false);
  });

  test('values of every kind come back as they went', async () => {
    const { kv } = cluster;
    const values = [
      '',
      'text',
      'ünï 😀',
      0,
      -1,
      127,
      128,
      2 ** 40,
      -(2 ** 45),
      1.5,
      -0,
      5n,
      -(2n ** 63n),
      2n ** 64n - 1n,
      true,
      null,
      [1, [2]],
      { a: { b: 1, zero: -0, large: [5n] } },
    ];
    for (const value of values) {
      await kv.set('kind', value);
      const stored = await kv.get('kind');
      expect(stored).toStrictEqual(value);
      // What was read is what a swap expects.
      expect(await kv.cas('kind', stored, 'swapped')).toMatchObject({ ok: true });
    }
    await kv.set('bytes', Uint8Array.of(1, 2, 3));
    expect(await kv.get('bytes')).toEqual(Buffer.from([1, 2, 3]));
  });

  test('conditions and compare-and-set: losing a race is an answer', async () => {
    const { kv } = cluster;
    const first = await kv.set('c', 1, { ifAbsent: true });
    expect(first).toBeTypeOf('number');
    expect(await kv.set('c', 2, { ifAbsent: true })).toBeUndefined();
    expect(await kv.set('c', 2, { ifRevision: first as number })).toBeTypeOf('number');
    expect(await kv.set('nothing', 2, { ifPresent: true })).toBeUndefined();
    expect(await kv.cas('c', 2, 3)).toMatchObject({ ok: true });
    expect(await kv.cas('c', 2, 4)).toMatchObject({ ok: false, revision: expect.any(Number) });
    expect(await kv.cas('new', undefined, 'x')).toMatchObject({ ok: true });
    expect(await kv.delete('c', { ifRevision: 1 })).toBe(false);
    const updated = await kv.update('c', (now) => (now as number) + 10);
    expect(await kv.getItem('c')).toMatchObject({ value: 13, revision: updated });
    // A deletion is a change, with a revision of its own.
    expect(await kv.update('c', () => undefined)).toBe(updated + 1);
    expect(await kv.has('c')).toBe(false);
    expect(await kv.update('c', () => undefined)).toBe(0);
  });

  test('incr, atomic batch, namespace, getMany', async () => {
    const { kv } = cluster;
    expect(await kv.incr('n')).toBe(1);
    expect(await kv.incr('n', 41)).toBe(42);
    const users = kv.namespace<{ id: number }>('users/', { encoding: 'json' });
    await users.set('7', { id: 7 });
    expect(await users.get('7')).toEqual({ id: 7 });
    expect(await kv.has('users/7')).toBe(true);
    const revision = await kv.batch([
      { type: 'set', key: 'x', value: 'y' },
      { type: 'incr', key: 'n', by: -2 },
      { type: 'delete', key: 'users/7' },
    ]);
    expect((await kv.getItem('x'))?.revision).toBe(revision);
    const many = await kv.getMany(['n', 'gone', 'x']);
    expect([...many]).toEqual([40, undefined, 'y']);
    expect(many.oneSnapshot).toBe(true);
    // All or nothing: the second operation fails, so the first did not happen.
    await expect(
      kv.batch([
        { type: 'set', key: 'half', value: 1 },
        { type: 'incr', key: 'x' },
      ]),
    ).rejects.toMatchObject({
      code: 'VR_WRONG_TYPE',
      outcome: 'not-executed',
      details: { index: 1 },
    });
    expect(await kv.has('half')).toBe(false);
  });

  test('pipeline: one promise, results in order', async () => {
    const pipeline = cluster.kv.pipeline();
    for (let i = 0; i < 3000; i++)
      pipeline.set(`p${i}`, `value ${i}`).incr('pipelined').get(`p${i}`);
    pipeline.delete('p0').incr('x', 1);
    expect(pipeline.size).toBe(9002);
    const result = await pipeline.submit();
    expect(pipeline.size).toBe(0);
    expect(result.count).toBe(9002);
    expect(result.value(1)).toBe(1);
    expect(result.value(8998)).toBe(3000);
    expect(result.value(8999)).toBe('value 2999');
    expect(result.ok(0)).toBe(true);
    expect(result.revision(3)).toBe((result.revision(1) as number) + 1);
    expect(result.ok(9001)).toBe(false);
    expect(result.error(9001)).toMatchObject({ code: 'VR_WRONG_TYPE' });
  });

  test('a value of 1 MiB, many at once, and a read that needs several answers', async () => {
    const { kv } = cluster;
    const large = 'x'.repeat((1 << 20) - 5);
    await Promise.all(Array.from({ length: 8 }, (_, i) => kv.set(`large${i}`, large)));
    const many = await kv.getMany(Array.from({ length: 8 }, (_, i) => `large${i}`));
    expect(many.every((value) => value === large)).toBe(true);
    expect(many.oneSnapshot).toBe(false);
  });

  test('echo, status, metrics', async () => {
    expect(await cluster.echo.echo({ hello: [1, 2] })).toEqual({ hello: [1, 2] });
    expect(await cluster.echo.ping()).toBeGreaterThan(0);
    const status = await cluster.status();
    expect(status.healthy).toBe(true);
    expect(status.replicas.filter((replica) => replica.role === 'witness').length).toBe(
      shape.witnesses,
    );
    await equalDigests(cluster);
    expect(cluster.metrics().replicas[0]?.requestsExecuted).toBeGreaterThan(0);
  });
});

test('await using closes', async () => {
  let name: string;
  {
    await using cluster = await open({ replicas: 1, name: 'brief' });
    name = cluster.name;
    await cluster.kv.set('a', 1);
  }
  expect(name).toBe('brief');
});
