// Bodies of requests and entries, written and walked by hand, beside msgpackr with the same operations as arrays; and the values inside,
// which msgpackr makes anyway.

import { Packr, Unpackr } from 'msgpackr';
import { CANONICAL, SET, Workload } from '#dist/cli/workload.js';
import {
  nextRequest,
  openRequests,
  requestSpace,
  writeRequest,
} from '#dist/protocol/request-body.js';
import { OP_SET, REQUEST_HEADER } from '#dist/service/operation.js';
import { OperationCursor } from '#dist/service/operation-cursor.js';
import { OperationWriter } from '#dist/service/operation-writer.js';
import { once, type Piece } from './piece.js';

/** Operations per request. */
const BATCH = 512;
const FIRST_BYTES = 64 << 10;
const kinds = new Uint8Array(BATCH).fill(SET);

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });
const source = once(() => new Workload({ ...CANONICAL, mix: { set: 1 } }));

/** A request of sets, in memory of its own. */
function request(): Uint8Array {
  const writer = new OperationWriter(undefined, FIRST_BYTES);
  source().fill(writer, BATCH, kinds);
  return writer.take(false);
}

/** The same as an array of arrays. */
function triples(): [number, string, Uint8Array][] {
  const list: [number, string, Uint8Array][] = [];
  const sink = {
    set: (key: string, value: Uint8Array) => list.push([OP_SET, key, value]),
    get: () => {},
    delete: () => {},
    incr: () => {},
  };
  source().fill(sink, BATCH, kinds);
  return list;
}

function requests(): Piece[] {
  return [
    {
      name: 'request body: write a set',
      start: () => {
        const writer = new OperationWriter(undefined, FIRST_BYTES);
        const workload = source();
        return {
          count: BATCH,
          run: () => {
            workload.fill(writer, BATCH, kinds);
            writer.finish(false);
            writer.reset();
          },
        };
      },
    },
    {
      name: 'request body: walk a set',
      start: () => {
        const bytes = request();
        const cursor = new OperationCursor();
        return {
          count: BATCH,
          run: () => {
            const count = cursor.open(bytes, 0, bytes.length, false);
            cursor.end = REQUEST_HEADER;
            for (let left = count; left > 0; left--) cursor.parse(cursor.end, bytes.length);
            if (cursor.end !== bytes.length) throw new Error('the walk missed the end');
          },
        };
      },
    },
    {
      name: 'request body, msgpackr: write a set',
      start: () => {
        const list = triples();
        return { count: BATCH, run: () => packr.pack(list) };
      },
    },
    {
      name: 'request body, msgpackr: read a set',
      start: () => {
        const bytes = Buffer.from(packr.pack(triples()));
        return { count: BATCH, run: () => unpackr.unpack(bytes) };
      },
    },
  ];
}

const REQUESTS = 256;
const FIELDS = {
  type: 'op',
  clientId: [0, 0, 0, 1],
  session: 4096,
  requestNumber: 1,
  acked: 0,
} as const;

/** Requests of one operation each. */
function entries(): Piece[] {
  const body = new Uint8Array(64).fill(7);
  const target = new Uint8Array(new SharedArrayBuffer(REQUESTS * requestSpace(body.length)));
  const view = new DataView(target.buffer);
  const write = (): void => {
    let at = 0;
    for (let left = REQUESTS; left > 0; left--) at = writeRequest(target, view, at, FIELDS, body);
  };
  return [
    {
      name: 'entry body: write a request of 64 B',
      start: () => ({ count: REQUESTS, run: write }),
    },
    {
      name: 'entry body: walk a request of 64 B',
      start: () => {
        write();
        return {
          count: REQUESTS,
          run: () => {
            const cursor = openRequests(target);
            let found = 0;
            while (nextRequest(cursor)) found++;
            if (found !== REQUESTS) throw new Error(`${found} requests of ${REQUESTS} were found`);
          },
        };
      },
    },
  ];
}

function values(): Piece[] {
  const objects = (): unknown[] => source().values.map((bytes) => ({ name: 'Ada', bytes }));
  return [
    {
      name: 'value, msgpackr: write a small object',
      start: () => {
        const list = objects();
        return {
          count: list.length,
          run: () => {
            for (const one of list) packr.pack(one);
          },
        };
      },
    },
    {
      name: 'value, msgpackr: read a small object',
      start: () => {
        const list = objects().map((one) => Buffer.from(packr.pack(one)));
        return {
          count: list.length,
          run: () => {
            for (const one of list) unpackr.unpack(one);
          },
        };
      },
    },
  ];
}

export function codec(): Piece[] {
  return [...requests(), ...entries(), ...values()];
}
