// Memory of requests and results: what is short shares it, what is long is used again, and nobody gets what somebody else still has.

import { expect, test } from 'vitest';
import { type Memory, MemoryPool } from '../../src/actors/client/memory-pool.js';
import { RequestBuffers } from '../../src/actors/client/request-buffers.js';

function room({ bytes, from, to }: Memory): Buffer {
  return bytes.subarray(from, to);
}

test('short requests lie side by side and never in each other', () => {
  const buffers = new RequestBuffers();
  const taken = Array.from({ length: 500 }, (_, index) => {
    const bytes = room(buffers.take(1 + (index % 1024)));
    expect(bytes.length).toBeGreaterThan(index % 1024);
    return bytes.fill(index & 0xff);
  });
  for (const bytes of taken) buffers.give(bytes);
  taken.push(...Array.from({ length: 500 }, () => room(buffers.take(300)).fill(1)));
  taken.slice(0, 500).forEach((bytes, index) => {
    expect(bytes.every((byte) => byte === (index & 0xff))).toBe(true);
  });
  expect(new Set(taken.map(({ buffer }) => buffer)).size).toBeLessThan(40);
});

test('what the last short request did not need goes to the next one', () => {
  const buffers = new RequestBuffers();
  const first = buffers.take(256);
  const { bytes, from, to } = first;
  buffers.trim(bytes, from + 91, to);
  const second = buffers.take(256);
  expect(second.bytes).toBe(bytes);
  expect(second.from).toBe(from + 96);
  // No longer the last one: others lie behind it.
  const kept = { from: second.from, to: second.to };
  const third = buffers.take(256);
  expect(third.from).toBe(kept.to);
  buffers.trim(bytes, kept.from + 8, kept.to);
  expect(buffers.take(256).from).toBe(kept.to + 256);
});

test('the memory of a long request is used again once it is given back, and not before', () => {
  const buffers = new RequestBuffers();
  const first = buffers.take(20_000);
  const second = buffers.take(20_000);
  expect(second === first).toBe(false);
  const body = new Uint8Array(first.bytes.buffer, 0, 15_000);
  buffers.give(body);
  buffers.give(body);
  expect(buffers.take(18_000) === first).toBe(true);
  expect(buffers.take(18_000) === first).toBe(false);
});

test('what was never lent, or is given back twice too large, is not kept', () => {
  const buffers = new RequestBuffers();
  const foreign = new Uint8Array(20_000);
  buffers.give(foreign);
  expect(buffers.take(20_000).bytes.buffer === foreign.buffer).toBe(false);
  const large = buffers.take(512 << 10);
  buffers.give(large.bytes);
  expect(buffers.take(512 << 10) === large).toBe(false);
});

test('a pool gives as much as was asked for, and little more', () => {
  const pool = new MemoryPool();
  for (let bytes = 1; bytes < 300_000; bytes += 1 + (bytes >> 4)) {
    const { length } = room(pool.take(bytes));
    expect(length).toBeGreaterThanOrEqual(bytes);
    expect(length).toBeLessThanOrEqual(Math.max(bytes + 7, bytes * 1.25));
    const memory = pool.take(bytes);
    pool.give(memory);
    // What is large is let go.
    if (!memory.shared) expect(pool.take(bytes) === memory).toBe(bytes <= 256 << 10);
  }
});

test('a pool is bounded, and sizes of the past give way to those of the present', () => {
  const pool = new MemoryPool();
  const taken = (bytes: number, count: number): Memory[] =>
    Array.from({ length: count }, () => pool.take(bytes));
  const early = taken(100_000, 60);
  for (const memory of early) pool.give(memory);
  const kept = taken(100_000, 60).filter((memory) => early.includes(memory));
  expect(kept.length).toBeGreaterThan(20);
  expect(kept.length * 100_000).toBeLessThanOrEqual(4 << 20);
  for (const memory of kept) pool.give(memory);
  const late = taken(10_000, 300);
  for (const memory of late) pool.give(memory);
  expect(taken(10_000, 300).every((memory) => late.includes(memory))).toBe(true);
  expect(taken(100_000, 60).some((memory) => kept.includes(memory))).toBe(false);
});
