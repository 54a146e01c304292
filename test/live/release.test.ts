// Results of pipelines give their memory back when the user says so: what was read from them stays, and others read their own.

import { type Cluster, type Codec, type Kv, open } from 'viewstamp';
import { afterAll, beforeAll, expect, test } from 'vitest';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await open({ replicas: 1 });
});
afterAll(() => cluster.close());

test('values outlive the release of their results, in every encoding', async () => {
  const codec: Codec<Uint8Array> = {
    name: 'views',
    encode: (value) => value,
    decode: (bytes) => bytes,
  };
  const bytes = (i: number, length = 900): Buffer => Buffer.alloc(length, i);
  const plain = (i: number): object => ({ i, text: `${i}`.repeat(300), bytes: bytes(i) });
  const stores: [Kv, (i: number) => unknown][] = [
    [cluster.kv.namespace('m/'), (i) => (i % 2 === 0 ? plain(i) : `${i}`.repeat(900))],
    [cluster.kv.namespace('j/', { encoding: 'json' }), (i) => ({ i, text: 'x'.repeat(i) })],
    [cluster.kv.namespace('u/', { encoding: 'utf8' }), (i) => 'x'.repeat(i * 20)],
    [
      cluster.kv.namespace('b/', { encoding: 'bytes' }) as Kv,
      (i) => new Uint8Array(i * 90).fill(i),
    ],
    [cluster.kv.namespace('c/', { encoding: codec }) as Kv, (i) => bytes(i, 2000)],
  ];
  for (const [kv, made] of stores) {
    const writing = kv.pipeline();
    for (let i = 0; i < 20; i++) writing.set(`${i}`, made(i));
    (await writing.submit()).release();
    const all = async (): Promise<unknown[]> => {
      const pipeline = kv.pipeline();
      for (let i = 0; i < 20; i++) pipeline.get(`${i}`);
      using results = await pipeline.submit();
      return Array.from({ length: 20 }, (_, i) => results.value(i));
    };
    const early = await all();
    // As much, and other values: they lie where the first ones lay.
    for (let i = 0; i < 20; i++) writing.set(`${i}`, made(19 - i));
    await writing.submit();
    const late = await Promise.all([all(), all(), all()]);
    expect(early).toEqual(Array.from({ length: 20 }, (_, i) => made(i)));
    for (const values of late) expect(values).toEqual([...early].reverse());
  }
});

test('released results of a read that was answered in parts, and of one operation', async () => {
  const kv = cluster.kv.namespace<Uint8Array>('parts/', { encoding: 'bytes' });
  const value = (i: number): Uint8Array => new Uint8Array(300_000).fill(i);
  const writing = kv.pipeline();
  for (let i = 0; i < 20; i++) writing.set(`${i}`, value(i));
  await writing.submit();
  for (let round = 0; round < 3; round++) {
    const pipeline = kv.pipeline();
    for (let i = 0; i < 20; i++) pipeline.get(`${i}`);
    using results = await pipeline.submit();
    const one = await kv.pipeline().get('7').submit();
    const target = new Uint8Array(300_000);
    for (const i of [19, ...Array(20).keys()]) {
      expect(results.copyValue(i, target)).toBe(target.length);
      expect(Buffer.compare(target, value(i))).toBe(0);
    }
    expect(one.copyValue(0, target)).toBe(target.length);
    one.release();
    one.release();
    expect(() => one.copyValue(0, target)).toThrow(/released/);
    expect(one.count).toBe(1);
  }
});
