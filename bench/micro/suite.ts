// The single pieces on one thread: operation codec, frames, rings, store and its images, digest, value codec. It finds out which piece became
// slower, not how fast a cluster is. `npm run bench:micro [-- filter]`.

import { parseArgs } from 'node:util';
import { Packr, Unpackr } from 'msgpackr';
import { Bench } from 'tinybench';
import { loadDigest } from '#dist/actors/replica/digest.js';
import { table } from '#dist/cli/output.js';
import { formatCount } from '#dist/cli/units.js';
import { CANONICAL, Workload } from '#dist/cli/workload.js';
import { makeSink } from '#dist/protocol/core.js';
import type { Prepare } from '#dist/protocol/message.js';
import type { ApplyContext } from '#dist/protocol/state-machine.js';
import { OP_GET } from '#dist/service/operation.js';
import { OperationWriter } from '#dist/service/operation-writer.js';
import { ReadResult } from '#dist/service/result-reader.js';
import { Services } from '#dist/service/services.js';
import { frameBytes, readFrame, writeFrame } from '#dist/transport/frame.js';
import { RingReader, RingWriter, ringMemoryBytes } from '#dist/transport/ring.js';

/** Operations per call of a task; figures are per operation. */
const BATCH = 512;
const RING_BYTES = 1 << 20;
const CONTEXT: ApplyContext = {
  gen: 0,
  op: 1,
  idx: 0,
  ts: 0,
  seed: 0,
  clientId: [0, 0, 0, 1],
  session: 1,
};

interface Piece {
  readonly name: string;
  /** Operations, frames or values that one call works through. */
  readonly count: number;
  readonly run: () => void;
}

const kinds = new Uint8Array(BATCH);

function sets(seed: number): Workload {
  return new Workload({ ...CANONICAL, mix: { set: 1 }, seed });
}

function codec(): Piece[] {
  const writes = new OperationWriter(undefined, 64 << 10);
  const source = sets(1);
  const values = source.values.map((value) => ({ name: 'Ada', bytes: value }));
  const packr = new Packr({ useRecords: false });
  const unpackr = new Unpackr({ useRecords: false });
  const packed = values.map((value) => Buffer.from(packr.pack(value)));
  return [
    {
      name: 'codec: write a set',
      count: BATCH,
      run: () => {
        source.fill(writes, BATCH, kinds);
        writes.finish(false);
        writes.reset();
      },
    },
    {
      name: 'codec: msgpack a small object',
      count: BATCH,
      run: () => {
        for (let at = 0; at < BATCH; at++) packr.pack(values[at]);
      },
    },
    {
      name: 'codec: read a small object',
      count: BATCH,
      run: () => {
        for (let at = 0; at < BATCH; at++) unpackr.unpack(packed[at] as Buffer);
      },
    },
  ];
}

function store(): Piece[] {
  const services = new Services({ storeBytes: 2 ** 30 });
  const sink = makeSink(64 << 10);
  const requests = Array.from({ length: 64 }, (_, seed) => {
    const writer = new OperationWriter(undefined, 64 << 10);
    sets(seed).fill(writer, BATCH, kinds);
    return writer.take(false);
  });
  const reads = Array.from({ length: 64 }, (_, seed) => {
    const writer = new OperationWriter(undefined, 64 << 10);
    new Workload({ ...CANONICAL, mix: { get: 1 }, seed }).fill(writer, BATCH, kinds);
    return writer.take(false);
  });
  let turn = 0;
  let length = 0;
  return [
    {
      name: 'store: execute a set, 10,000 keys',
      count: BATCH,
      run: () => {
        const request = requests[turn++ % requests.length] as Uint8Array;
        sink.length = 0;
        services.apply(CONTEXT, request, 0, request.length, sink);
      },
    },
    {
      name: 'store: answer a get, 10,000 keys',
      count: BATCH,
      run: () => {
        const request = reads[turn++ % reads.length] as Uint8Array;
        sink.length = 0;
        services.read(request, 0, request.length, sink);
      },
    },
    {
      name: 'store: answer and read a get',
      count: BATCH,
      run: () => {
        const request = reads[turn++ % reads.length] as Uint8Array;
        sink.length = 0;
        services.read(request, 0, request.length, sink);
        const result = new ReadResult(sink.bytes.subarray(0, sink.length), OP_GET);
        for (let at = 0; at < result.count; at++)
          if (result.present(at)) length += result.valueBytes(at) & 1;
        if (length < 0) throw new Error('a length below zero');
      },
    },
  ];
}

/** What images add to sets of random keys: a page is copied on its first write after a freeze. */
function images(): Piece[] {
  const services = new Services({ storeBytes: 2 ** 30 });
  const sink = makeSink(64 << 10);
  const workload = new Workload({ ...CANONICAL, mix: { set: 1 }, keyspace: 100_000 });
  const requests = Array.from({ length: 512 }, () => {
    const writer = new OperationWriter(undefined, 64 << 10);
    workload.fill(writer, BATCH, kinds);
    return writer.take(false);
  });
  let turn = 0;
  const perRound = 16;
  const round = (): void => {
    for (let n = 0; n < perRound; n++) {
      const request = requests[turn++ % requests.length] as Uint8Array;
      sink.length = 0;
      services.apply(CONTEXT, request, 0, request.length, sink);
    }
  };
  for (let n = 0; n < requests.length / perRound; n++) round();
  let op = 0;
  services.freeze(++op);
  const pages = services.pageCount(op, 0);
  round();
  services.freeze(++op);
  let copied = 0;
  for (let page = 0; page < pages; page++) if (services.changed(op, 0, page)) copied++;
  services.release(1);
  services.release(2);
  const share = Math.round((perRound * BATCH) / copied);
  return [
    { name: 'image: execute a set, 100,000 keys, no image', count: perRound * BATCH, run: round },
    {
      name: `image: execute a set, ${share} per copied page`,
      count: perRound * BATCH,
      run: () => {
        services.freeze(++op);
        round();
        services.release(op);
      },
    },
    {
      name: `image: freeze and release, each of ${pages} pages`,
      count: pages,
      run: () => {
        services.freeze(++op);
        services.release(op);
      },
    },
  ];
}

function ring(frame: number): Piece {
  const memory = new SharedArrayBuffer(ringMemoryBytes(RING_BYTES));
  const writer = new RingWriter(memory);
  const reader = new RingReader(memory);
  const bytes = new Uint8Array(frame);
  const count = Math.min(64, Math.floor(RING_BYTES / 4 / frame));
  return {
    name: `ring: claim, copy ${frame} B, publish, read, release`,
    count,
    run: () => {
      for (let at = 0; at < count; at++) {
        const offset = writer.claim(frame);
        if (offset < 0) throw new Error('the ring is full');
        writer.bytes.set(bytes, offset);
      }
      writer.publish();
      while (reader.peek()) reader.consume();
      reader.release();
    },
  };
}

function frames(): Piece[] {
  const body = new Uint8Array(32 << 10).fill(7);
  const prepare: Prepare = {
    kind: 'prepare',
    clusterId: 1,
    gen: 0,
    epoch: 0,
    view: 3,
    from: 0,
    start: 1,
    first: 42,
    prevChain: [1, 2, 3, 4],
    entries: [
      {
        op: 42,
        epoch: 0,
        view: 3,
        ts: 1,
        seed: 2,
        kind: 'batch',
        count: 1,
        body,
        chain: [5, 6, 7, 8],
      },
    ],
    commitMax: 41,
    stableOp: 0,
    hbSeq: 9,
  };
  const bytes = new Uint8Array(64 << 10);
  const view = new DataView(bytes.buffer);
  const length = frameBytes(prepare);
  writeFrame(prepare, bytes, view, 0);
  return [
    {
      name: 'frame: write a Prepare of 32 KiB',
      count: 1,
      run: () => writeFrame(prepare, bytes, view, 0),
    },
    {
      name: 'frame: read a Prepare of 32 KiB in place',
      count: 1,
      run: () => {
        readFrame(bytes, view, { from: 0, to: length });
      },
    },
  ];
}

async function digest(): Promise<Piece> {
  const digest64 = await loadDigest();
  const bytes = new Uint8Array(32 << 10).fill(7);
  const out = new Uint32Array(2);
  return {
    name: 'digest: 32 KiB',
    count: 1,
    run: () => digest64(bytes, 0, bytes.length, out),
  };
}

async function main(): Promise<void> {
  const { positionals } = parseArgs({ allowPositionals: true });
  const pieces = [
    ...codec(),
    ...store(),
    ...images(),
    ring(64),
    ring(1024),
    ring(64 << 10),
    ...frames(),
    await digest(),
  ].filter((piece) => positionals.every((word) => piece.name.includes(word)));
  if (pieces.length === 0) {
    process.stderr.write(`nothing is called ${positionals.join(' ')}\n`);
    process.exitCode = 2;
    return;
  }
  const bench = new Bench({ time: 300, warmupTime: 100, throws: true });
  for (const piece of pieces) bench.add(piece.name, piece.run);
  await bench.run();
  const rows = pieces.map((piece) => {
    const result = bench.getTask(piece.name)?.result;
    if (result?.state !== 'completed') throw new Error(`${piece.name} did not finish`);
    const nanoseconds = (milliseconds: number): string =>
      ((milliseconds * 1e6) / piece.count).toFixed(1);
    const { latency } = result;
    return [
      piece.name,
      nanoseconds(latency.p50),
      nanoseconds(latency.p99),
      `${latency.rme.toFixed(1)}%`,
      formatCount((1e3 / latency.p50) * piece.count),
    ];
  });
  process.stdout.write(`${table(['', 'ns, median', 'p99', '±', 'per second'], rows)}\n`);
}

await main();
