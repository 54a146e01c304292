// N6, RD2, RD4: how far a quorum has come, against sorting.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nthHighest } from '../../src/protocol/core.js';
import type { PeerProgress } from '../../src/protocol/state.js';

test('N6: the nth highest figure of the peers is the one that sorting finds', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 9 }),
      fc.integer({ min: 0, max: 10 }),
      (figures, nth) => {
        const peers = figures.map((matchOp) => ({ matchOp }) as PeerProgress);
        const sorted = [...figures].sort((a, b) => b - a);
        const found = nth === 0 ? Number.POSITIVE_INFINITY : sorted[nth - 1];
        expect(nthHighest(peers, ({ matchOp }) => matchOp, nth)).toBe(
          found ?? Number.NEGATIVE_INFINITY,
        );
      },
    ),
  );
});
