// Frames of checkpoint transfer (CP6) at their limits and beyond them. What no sender would write is put together here by an
// encoder of its own, so that the reader's checks are met and not the writer's.

import { describe, expect, test } from 'vitest';
import { ProtocolViolation } from '../../src/protocol/assert.js';
import { INDICES_MAX } from '../../src/protocol/checkpoint/donate.js';
import { FAN_OUT, HASH_BYTES } from '../../src/protocol/checkpoint/merkle.js';
import type {
  CheckpointMeta,
  GetNodes,
  GetPages,
  Message,
  Nodes,
  Pages,
} from '../../src/protocol/message.js';
import {
  LISTS_MAX,
  PAGE_BYTES_MAX,
  PAGES_BYTES_MAX,
} from '../../src/transport/checkpoint-frames.js';
import { frameBytes, readFrame, writeFrame } from '../../src/transport/frame.js';
import { KIND_CODES } from '../../src/transport/kinds.js';
import { BadFrame } from '../../src/transport/msgpack.js';
import { MESSAGE_BYTES_MAX } from '../../src/transport/piece.js';
import { plain } from './messages.js';

const header = { clusterId: 1, gen: 0, epoch: 0, view: 3, from: 2 };
const transfer = { ...header, reqId: 2 ** 40 + 1, cpOp: 2048 };
const chain = [1, -2, 3, -4] as const;

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at * 3);
}

/** Bytes that differ from place to place. */
function filled(length: number): Uint8Array {
  return new Uint8Array(length).map((_, at) => (at * 31) >> 3);
}

function meta(lists: number, topBytes: number): CheckpointMeta {
  const hashes = { cpChain: chain, root: chain, tops: filled(topBytes) };
  return {
    kind: 'checkpointMeta',
    ...transfer,
    ...hashes,
    pageCounts: numbers(lists),
    status: 'ok',
  };
}

function getNodes(count: number, list = 0): GetNodes {
  return { kind: 'getNodes', ...transfer, list, level: 2, indices: numbers(count) };
}

function nodes(count: number, hashBytes: number): Nodes {
  const hashes = filled(hashBytes);
  const indices = numbers(count);
  return { kind: 'nodes', ...transfer, list: 1, level: 2, indices, hashes, status: 'ok' };
}

function getPages(count: number, list = 0): GetPages {
  return { kind: 'getPages', ...transfer, list, indices: numbers(count) };
}

function pages(count: number, length: number, status: Pages['status'] = 'ok'): Pages {
  const indices = numbers(count);
  return { kind: 'pages', ...transfer, list: 1, indices, bytes: filled(length), status };
}

function written(message: Message): Uint8Array {
  const bytes = new Uint8Array(frameBytes(message));
  writeFrame(message, bytes, new DataView(bytes.buffer), 0);
  return bytes;
}

function read(bytes: Uint8Array): Message {
  return readFrame(bytes, new DataView(bytes.buffer), { from: 0, to: bytes.length });
}

// The encoder of this file: one function per form.

function big(value: number, width: number): number[] {
  return Array.from(
    { length: width },
    (_, at) => Math.floor(value / 256 ** (width - 1 - at)) % 256,
  );
}
const uint = (value: number): number[] => [0xce, ...big(value, 4)];
const whole = (value: number): number[] => [0xcf, ...big(value, 8)];
const int = (value: number): number[] => [0xd2, ...big(value >>> 0, 4)];
const array = (...items: number[][]): number[] => [0xdc, ...big(items.length, 2), ...items.flat()];
const uints = (list: readonly number[]): number[] => array(...list.map(uint));
const bin = (length: number): number[] => [0xc6, ...big(length, 4), ...filled(length)];
const words: number[][] = chain.map(int);

type CheckpointKind = 'checkpointMeta' | 'getNodes' | 'nodes' | 'getPages' | 'pages';

/** A frame whose byte string, when `last` is one, begins on a multiple of 8 after all, or `off` bytes beside it. */
function frame(kind: CheckpointKind, fields: number[][], last?: number[], off = 0): Uint8Array {
  const head = [uint(KIND_CODES[kind]), whole(1), uint(0), uint(0), uint(3), uint(2)];
  const own = [whole(2 ** 40 + 1), whole(2048), ...fields];
  if (last === undefined) return Uint8Array.from(array(...head, ...own));
  const before = array(...head, ...own).length + 2 + 5;
  const zeros = Array.from({ length: (-before & 7) + off }, () => 0);
  return Uint8Array.from(array(...head, ...own, [0xc4, zeros.length, ...zeros], last));
}

/** What a reader says of `bytes`. */
function refusal(bytes: Uint8Array): string {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof BadFrame) return error.message;
    throw error;
  }
  return 'nothing';
}

test('this encoder and that of the transport agree', () => {
  const list = numbers(3);
  const metaFields = [...words, ...words, uint(0), uints(list)];
  expect(frame('checkpointMeta', metaFields, bin(24))).toEqual(written(meta(3, 24)));
  expect(frame('getNodes', [uint(0), uint(2), uints(list)])).toEqual(written(getNodes(3)));
  expect(frame('nodes', [uint(1), uint(2), uint(0), uints(list)], bin(64))).toEqual(
    written(nodes(3, 64)),
  );
  expect(frame('getPages', [uint(0), uints(list)])).toEqual(written(getPages(3)));
  expect(frame('pages', [uint(1), uint(1), uints(list)], bin(9))).toEqual(
    written(pages(3, 9, 'gone')),
  );
});

describe('up to the limits', () => {
  test.each<[string, Message]>([
    ['a checkpoint of 64 lists', meta(LISTS_MAX, LISTS_MAX * HASH_BYTES)],
    ['no list, as one who has none answers', meta(0, 0)],
    ['256 nodes asked for, of the last list', getNodes(INDICES_MAX, LISTS_MAX - 1)],
    ['256 pages asked for, of the last list', getPages(INDICES_MAX, LISTS_MAX - 1)],
    ['256 nodes of 16 children', nodes(INDICES_MAX, INDICES_MAX * FAN_OUT * HASH_BYTES)],
    ['nodes with fewer children', nodes(5, 5 * HASH_BYTES)],
    ['256 pages of 1 KiB', pages(INDICES_MAX, PAGES_BYTES_MAX)],
    ['four pages of 64 KiB', pages(4, PAGES_BYTES_MAX)],
    ['one page of 64 KiB', pages(1, PAGE_BYTES_MAX)],
    ['pages that are gone', pages(7, 0, 'gone')],
    ['no pages', pages(0, 0)],
  ])('%s', (_, message) => {
    const bytes = written(message);
    expect(bytes.length).toBeLessThan(MESSAGE_BYTES_MAX);
    expect(plain(read(bytes))).toEqual(plain(message));
  });

  test('bytes are views of the frame, on a multiple of 8', () => {
    for (let count = 0; count < 9; count++) {
      for (const message of [
        meta(count, 8 * count),
        nodes(count, 8 * count),
        pages(count, count),
      ]) {
        const bytes = written(message);
        const found = read(bytes) as CheckpointMeta | Nodes | Pages;
        const last =
          found.kind === 'checkpointMeta'
            ? found.tops
            : found.kind === 'nodes'
              ? found.hashes
              : found.bytes;
        expect(last.buffer).toBe(bytes.buffer);
        expect(last.byteOffset % 8).toBe(0);
      }
    }
  });
});

const TOO_MANY = numbers(INDICES_MAX + 1);
const META = [...words, ...words, uint(0)];
const TWO = uints([0, 1]);

describe('beyond the limits', () => {
  test.each<[string, Uint8Array, RegExp]>([
    ['nodes asked for', frame('getNodes', [uint(0), uint(1), uints(TOO_MANY)]), /^257 indices, /],
    ['pages asked for', frame('getPages', [uint(0), uints(TOO_MANY)]), /^257 indices, /],
    [
      'nodes',
      frame('nodes', [uint(0), uint(1), uint(0), uints(TOO_MANY)], bin(8)),
      /^257 indices, at most 256/,
    ],
    [
      'pages',
      frame('pages', [uint(0), uint(0), uints(TOO_MANY)], bin(257)),
      /^257 indices, at most 256/,
    ],
    [
      'lists of pages',
      frame('checkpointMeta', [...META, uints(numbers(LISTS_MAX + 1))], bin(65 * HASH_BYTES)),
      /^65 pageCounts, at most 64/,
    ],
    ['a list of nodes', frame('getNodes', [uint(64), uint(1), TWO]), /^list 64, at most 64/],
    ['a list of pages', frame('getPages', [uint(64), TWO]), /^list 64, at most 64/],
    [
      'bytes of pages',
      frame('pages', [uint(0), uint(0), uints(numbers(8))], bin(PAGES_BYTES_MAX + 8)),
      /^pages of 262152 bytes, at most 262144/,
    ],
    [
      'bytes of one page',
      frame('pages', [uint(0), uint(0), uints([4])], bin(PAGE_BYTES_MAX + 1)),
      /^65537 bytes for 1 pages/,
    ],
    [
      'children of a node',
      frame('nodes', [uint(0), uint(1), uint(0), TWO], bin(33 * HASH_BYTES)),
      /^hashes of 264 bytes for 2 nodes/,
    ],
  ])('%s', (_, bytes, why) => {
    expect(refusal(bytes)).toMatch(why);
  });

  test.each<[string, Message, RegExp]>([
    ['nodes asked for', getNodes(257), /getNodes: 257 indices/],
    ['pages asked for', getPages(257), /getPages: 257 indices/],
    ['lists', meta(65, 520), /checkpointMeta: 65 pageCounts/],
    ['a list', getPages(1, 64), /getPages: list 64/],
    ['bytes of pages', pages(8, PAGES_BYTES_MAX + 8), /pages: pages of 262152 bytes/],
    ['half a hash', nodes(1, 12), /nodes: hashes of 12 bytes/],
    ['pages of two sizes', pages(2, 511), /pages: 511 bytes for 2 pages/],
  ])('%s are a mistake of the sender', (_, message, why) => {
    expect(() => written(message)).toThrow(ProtocolViolation);
    expect(() => written(message)).toThrow(why);
  });
});

describe('what does not fit together, or is not what it should be', () => {
  test.each<[string, Uint8Array, RegExp]>([
    [
      'pages of two sizes',
      frame('pages', [uint(0), uint(0), TWO], bin(511)),
      /^511 bytes for 2 pages/,
    ],
    ['pages of no index', frame('pages', [uint(0), uint(0), uints([])], bin(8)), /for 0 pages/],
    ['half a hash', frame('nodes', [uint(0), uint(1), uint(0), TWO], bin(12)), /hashes of 12 /],
    [
      'hashes of no node',
      frame('nodes', [uint(0), uint(1), uint(0), uints([])], bin(8)),
      /0 nodes/,
    ],
    ['a top too few', frame('checkpointMeta', [...META, TWO], bin(8)), /^tops of 8 .* 2 lists/],
    ['a top too many', frame('checkpointMeta', [...META, TWO], bin(24)), /^tops of 24 bytes/],
    ['a negative index', frame('getPages', [uint(0), array(uint(1), int(-1))]), /indices as 0xce/],
    ['a long index', frame('getPages', [uint(0), array(uint(1), whole(1))]), /indices as 0xce/],
    ['a negative list', frame('getPages', [int(-1), TWO]), /^expected list as 0xce, found 0xd2/],
    ['a negative level', frame('getNodes', [uint(0), int(-1), TWO]), /^expected level as 0xce/],
    ['a number for indices', frame('getPages', [uint(0), uint(1)]), /expected indices as 0xdc/],
    [
      'indices that go on',
      frame('getPages', [uint(0), [0xdc, 0, 9, ...uint(1)]]),
      /ends in indices/,
    ],
    ['too many fields', frame('getPages', [uint(0), TWO, uint(1)]), /11 fields instead of 10/],
    ['bytes behind', Uint8Array.of(...written(getNodes(2)), 0), /^1 bytes behind the indices/],
    ['a status out of range', frame('pages', [uint(0), uint(2), TWO], bin(4)), /^unknown status 2/],
    [
      'another status out of range',
      frame('checkpointMeta', [...words, ...words, uint(3), TWO], bin(16)),
      /^unknown status 3/,
    ],
    [
      'text for pages',
      frame('pages', [uint(0), uint(0), TWO], [0xdb, 0, 0, 0, 0]),
      /pages as 0xc6/,
    ],
    [
      'too much padding',
      frame('pages', [uint(0), uint(0), TWO], bin(4), 8),
      /^padding of \d+ bytes/,
    ],
    [
      'padding that leaves the bytes beside the mark',
      frame('nodes', [uint(0), uint(1), uint(0), TWO], bin(16), 1),
      /^padding of \d+ bytes/,
    ],
    [
      'bytes that pass the end',
      frame('pages', [uint(0), uint(0), TWO], [0xc6, 0, 0, 0, 9, 1]),
      /^pages of 9 bytes passes the end/,
    ],
  ])('%s', (_, bytes, why) => {
    expect(refusal(bytes)).toMatch(why);
  });
});
