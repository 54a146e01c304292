// What the simulated way does to the bytes of messages: a receiver's are its own, and gone after its step.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyMessage, overwrite } from '../../src/simulation/copies.js';
import { copyOf, MESSAGE_KINDS, MESSAGES, plain } from '../transport/messages.js';

/** All byte strings in `value`. */
function byteStrings(value: unknown): Uint8Array[] {
  if (value instanceof Uint8Array) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(byteStrings);
}

test.each(MESSAGE_KINDS)(
  '%s: a copy has bytes of its own, and none is left after the step',
  (kind) => {
    let some = false;
    for (const message of fc.sample(MESSAGES[kind], { numRuns: 30, seed: 3 })) {
      const before = plain(copyOf(message));
      const copy = copyMessage(message);
      expect(plain(copy)).toEqual(before);
      overwrite(copy);
      expect(plain(message)).toEqual(before);
      for (const bytes of byteStrings(copy)) {
        expect(bytes.every((byte) => byte === 0xee)).toBe(true);
        if (bytes.length > 0) some = true;
      }
    }
    expect(some).toBe(CARRIERS.has(kind));
  },
);

/** The kinds that have byte strings. */
const CARRIERS: ReadonlySet<string> = new Set([
  ...['prepare', 'newState', 'startView', 'doViewChange', 'request', 'read', 'reply', 'readReply'],
  'localRead',
  ...['checkpointMeta', 'nodes', 'pages'],
]);
