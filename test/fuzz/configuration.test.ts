// The arithmetic of configurations, by counting instead of by formula: all of the protocol stands on any two quorums having a
// member in common, so every pair of them is looked at.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  faultsTolerated,
  invalidShape,
  makeConfiguration,
  primaryOf,
  quorumSize,
  REPLICAS_MAX,
  roleOf,
} from '../../src/protocol/configuration.js';
import { PROPERTY } from './counts.js';

const SIZES = Array.from({ length: REPLICAS_MAX }, (_, n) => n + 1);

/** Every allowed pair of replicas and witnesses. */
const SHAPES = SIZES.flatMap((replicas) =>
  Array.from({ length: Math.ceil(replicas / 2) }, (_, witnesses) => ({ replicas, witnesses })),
);

function members(set: number): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}

describe.each(SIZES)('%i replicas', (n) => {
  const quorums = Array.from({ length: 2 ** n }, (_, set) => set).filter(
    (set) => members(set) >= quorumSize(n),
  );

  test('D2: every two quorums have a member in common', () => {
    const apart = quorums.flatMap((a) => quorums.filter((b) => (a & b) === 0));
    expect(apart).toEqual([]);
    expect(quorums.length).toBeGreaterThan(0);
  });

  test('D2: one member fewer would not do, except alone', () => {
    const smaller = Array.from({ length: 2 ** n }, (_, set) => set).filter(
      (set) => members(set) === quorumSize(n) - 1,
    );
    expect(smaller.some((a) => smaller.some((b) => (a & b) === 0))).toBe(true);
  });

  test('any f members may go and a quorum is left, f + 1 and none is', () => {
    const f = faultsTolerated(n);
    const left = (gone: number): boolean => quorums.some((quorum) => (quorum & gone) === 0);
    for (let gone = 0; gone < 2 ** n; gone++) expect(left(gone)).toBe(members(gone) <= f);
  });
});

test('the formula holds beyond what is allowed: two quorums of any size share a member', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.infiniteStream(fc.nat()), (n, random) => {
      const draw = (): Set<number> => {
        const left = Array.from({ length: n }, (_, id) => id);
        const quorum = new Set<number>();
        while (quorum.size < quorumSize(n)) {
          const { value } = random.next();
          quorum.add(left.splice(value % left.length, 1)[0] as number);
        }
        return quorum;
      };
      const first = draw();
      expect([...draw()].some((id) => first.has(id))).toBe(true);
      expect(quorumSize(n) + faultsTolerated(n)).toBe(n);
      expect(faultsTolerated(n)).toBeLessThan(quorumSize(n));
    }),
    PROPERTY,
  );
});

test('W3: the rotation is fair, has no witness in it, and is the same for everybody', () => {
  const shape = fc.constantFrom(...SHAPES);
  const first = fc.oneof(fc.nat(100), fc.nat(0xffff_ffff - 10), fc.nat(2 ** 52));
  fc.assert(
    fc.property(shape, first, ({ replicas, witnesses }, view) => {
      const configuration = makeConfiguration(replicas, witnesses, 1);
      const actives = replicas - witnesses;
      const round = Array.from({ length: actives }, (_, n) => primaryOf(configuration, view + n));
      for (const id of round) expect(roleOf(configuration, id)).toBe('active');
      expect(new Set(round).size).toBe(actives);
      expect(primaryOf(configuration, view + actives)).toBe(round[0]);
    }),
    PROPERTY,
  );
});

test('a shape is refused exactly when it is none, and the reason says the bounds', () => {
  const number = fc.oneof(
    fc.integer({ min: -2, max: 12 }),
    fc.constantFrom(0.5, 3.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 2 ** 53, 1e300),
  );
  fc.assert(
    fc.property(number, number, (replicas, witnesses) => {
      const allowed = SHAPES.some(
        (shape) => shape.replicas === replicas && shape.witnesses === witnesses,
      );
      const reason = invalidShape(replicas, witnesses);
      expect(reason === null).toBe(allowed);
      if (reason !== null) {
        expect(reason).toMatch(/^(replicas|witnesses) must be an integer from \d to \d.* got /);
        expect(() => makeConfiguration(replicas, witnesses, 1)).toThrow(ProtocolViolation);
        return;
      }
      const configuration = makeConfiguration(replicas, witnesses, 77);
      expect(configuration.members.map((member) => member.id)).toEqual(
        SIZES.slice(0, replicas).map((n) => n - 1),
      );
      expect(configuration.members.filter((member) => member.role === 'witness')).toHaveLength(
        witnesses,
      );
      // The actives alone can hold a quorum's newest entry: one of any quorum is active.
      expect(replicas - witnesses).toBeGreaterThanOrEqual(quorumSize(replicas));
      expect(
        configuration.members.slice(0, replicas - witnesses).every((m) => m.role === 'active'),
      ).toBe(true);
      expect(configuration).toMatchObject({ epoch: 0, storeBytes: 77 });
      for (const id of [-1, replicas, 0.5]) expect(roleOf(configuration, id)).toBe(null);
    }),
    PROPERTY,
  );
});
