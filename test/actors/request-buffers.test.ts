// Memory of requests: short ones share it, long ones use theirs again, and nobody gets what somebody else still has.

import { expect, test } from 'vitest';
import { RequestBuffers } from '../../src/actors/client/request-buffers.js';

test('short requests lie side by side and never in each other', () => {
  const buffers = new RequestBuffers();
  const taken = Array.from({ length: 500 }, (_, index) => {
    const bytes = buffers.take(1 + (index % 1024));
    expect(bytes.length).toBe(1 + (index % 1024));
    return bytes.fill(index & 0xff);
  });
  for (const bytes of taken) buffers.give(bytes);
  taken.push(...Array.from({ length: 500 }, () => buffers.take(300).fill(1)));
  taken.slice(0, 500).forEach((bytes, index) => {
    expect(bytes.every((byte) => byte === (index & 0xff))).toBe(true);
  });
  expect(new Set(taken.map(({ buffer }) => buffer)).size).toBeLessThan(20);
});

test('the memory of a long request is used again once it is given back, and not before', () => {
  const buffers = new RequestBuffers();
  const first = buffers.take(20_000);
  const second = buffers.take(20_000);
  expect(second.buffer).not.toBe(first.buffer);
  buffers.give(first.subarray(0, 15_000));
  expect(buffers.take(16_000).buffer).toBe(first.buffer);
  expect(buffers.take(16_000).buffer).not.toBe(second.buffer);
});

test('what was never lent, or is given back twice too large, is not kept', () => {
  const buffers = new RequestBuffers();
  const foreign = new Uint8Array(20_000);
  buffers.give(foreign);
  expect(buffers.take(20_000).buffer).not.toBe(foreign.buffer);
  const large = buffers.take(512 << 10);
  buffers.give(large);
  expect(buffers.take(512 << 10).buffer).not.toBe(large.buffer);
});
