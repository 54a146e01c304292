// The body of an entry: what was written is read, and any other bytes end in a ProtocolViolation and nothing else, without a look
// past their end.

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import {
  clientOf,
  nextRequest,
  openRequests,
  REQUEST_HEADER_BYTES,
  type RequestFields,
  type RequestType,
  requestSpace,
  writeRequest,
} from '../../src/protocol/request-body.js';
import { inputs, PROPERTY, TIMEOUT_MS } from './counts.js';
import { damaged, hits, surrounded } from './damage.js';

const timeout = TIMEOUT_MS;

interface Written extends RequestFields {
  readonly bytes: Uint8Array;
}

const uint = fc.nat(0xffff_ffff);
const request: fc.Arbitrary<Written> = fc.record({
  type: fc.constantFrom<RequestType>('op', 'register', 'unregister'),
  clientId: fc.tuple(uint, uint, uint, uint),
  session: fc.nat(Number.MAX_SAFE_INTEGER),
  requestNumber: uint,
  acked: uint,
  bytes: fc.uint8Array({ maxLength: 40 }),
});
const requests = fc.array(request, { maxLength: 8 });

function bodyOf(list: readonly Written[], before = 0): Uint8Array {
  const length = list.reduce((sum, { bytes }) => sum + requestSpace(bytes.length), 0);
  const body = new Uint8Array(length).fill(before);
  const view = new DataView(body.buffer);
  let at = 0;
  for (const { bytes, ...fields } of list)
    at = writeRequest(body, view, at, fields, bytes.length === 0 ? null : bytes);
  expect(at).toBe(body.length);
  return body;
}

/** All requests of `body`, then null; or what is wrong with the one after the last. */
function walk(body: Uint8Array): (Written | ProtocolViolation | null)[] {
  const cursor = openRequests(body);
  const found: (Written | ProtocolViolation | null)[] = [];
  try {
    while (nextRequest(cursor)) {
      const { type, session, requestNumber, acked, from, to } = cursor;
      const clientId = clientOf(cursor);
      if (from > to || to > body.length) throw new Error(`bytes from ${from} to ${to}`);
      const bytes = body.slice(from, to);
      found.push({ type, clientId, session, requestNumber, acked, bytes });
      // Every request takes its header, so there are never more than that.
      if (found.length > body.length / REQUEST_HEADER_BYTES) throw new Error('goes round');
    }
    expect(cursor.at).toBe(body.length);
    return [...found, null];
  } catch (error) {
    if (!(error instanceof ProtocolViolation)) throw error;
    return [...found, error];
  }
}

const which = fc.nat(199);

test('what was written is read again, request for request', { timeout }, () => {
  fc.assert(
    fc.property(requests, (list) => {
      expect(walk(bodyOf(list))).toEqual([...list, null]);
      // Memory is written again: nothing of what was there shows, not even in the padding.
      expect(bodyOf(list, 0xff)).toEqual(bodyOf(list));
    }),
    PROPERTY,
  );
});

test('damaged bodies: requests within the body, or a ProtocolViolation', { timeout }, () => {
  const corpus = fc.sample(requests, { numRuns: 200, seed: 3 }).map(bodyOf);
  let whole = 0;
  let broken = 0;
  fc.assert(
    fc.property(which, which, hits, (one, other, list) => {
      const bytes = damaged(corpus[one] as Uint8Array, list, corpus[other] as Uint8Array);
      const alone = walk(bytes);
      const among = walk(surrounded(bytes, 16).subarray(16, 16 + bytes.length));
      if (!isDeepStrictEqual(among, alone)) expect(among).toEqual(alone);
      if (alone.at(-1) === null) whole++;
      else broken++;
    }),
    inputs(),
  );
  expect(whole).toBeGreaterThan(0);
  expect(broken).toBeGreaterThan(0);
});

test.each([1, 8, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 40, 2 ** 32 - 39, 2 ** 32 - 8, 2 ** 32 - 1])(
  'a length of %i beyond the end is a ProtocolViolation, not a step backwards',
  (length) => {
    const body = new Uint8Array(2 * REQUEST_HEADER_BYTES);
    new DataView(body.buffer).setUint32(REQUEST_HEADER_BYTES, length, true);
    const found = walk(body);
    expect(found).toHaveLength(2);
    expect(found[1]).toBeInstanceOf(ProtocolViolation);
  },
);

test('what is wrong is said with its place', () => {
  const body = new Uint8Array(3 * REQUEST_HEADER_BYTES);
  const view = new DataView(body.buffer);
  view.setUint8(REQUEST_HEADER_BYTES + 4, 3);
  expect(String(walk(body)[1])).toMatch(/unknown request type 3 at 40$/);
  expect(String(walk(body.subarray(0, 60))[1])).toMatch(/ends at 60, inside the header .* at 40$/);
  view.setUint32(REQUEST_HEADER_BYTES, 41, true);
  expect(String(walk(body)[1])).toMatch(/request at 40 of 41 bytes passes the end 120$/);
  view.setUint32(REQUEST_HEADER_BYTES, 33, true);
  view.setUint8(REQUEST_HEADER_BYTES + 4, 0);
  expect(String(walk(body.subarray(0, 113))[1])).toMatch(
    /ends at 113, inside the padding .* at 40$/,
  );
});
