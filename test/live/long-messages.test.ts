// Long messages through small rings between real threads that nothing wakes but their doorbells.

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { ringMemoryBytes } from '#dist/transport/ring.js';

const MESSAGES = 6;

test.each([
  { sleep: 'block', ring: 4 << 10, length: 300_000 },
  { sleep: 'block', ring: 64 << 10, length: 2_000_000 },
  { sleep: 'park', ring: 4 << 10, length: 300_000 },
  { sleep: 'park', ring: 64 << 10, length: 2_000_000 },
])('$length bytes through a ring of $ring arrive, sleeping by $sleep', async (link) => {
  const memory = new SharedArrayBuffer(ringMemoryBytes(link.ring));
  const words = new SharedArrayBuffer(256);
  const sides = ['sender', 'receiver'].map(
    (role) =>
      new Worker(new URL('./fixtures/long-messages.mjs', import.meta.url), {
        workerData: { ...link, role, memory, words, messages: MESSAGES },
      }),
  );
  try {
    const [sent, found] = await Promise.all(
      sides.map(async (side) => (await once(side, 'message'))[0]),
    );
    expect(found).toMatchObject({ received: MESSAGES, wrong: 0, bad: 0 });
    expect(sent.sleeps).toBeGreaterThan(0);
  } finally {
    await Promise.all(sides.map((side) => side.terminate()));
  }
});
