// What a durable store costs on this machine: latency of a flush, throughput of appending in each mode and the CPU of the thread that
// appends, time of a switch and of a checkpoint. `--dir` names a directory on the disk in question, `--seconds` how long each
// throughput is measured. Prints medians. `--smoke` does the same with next to nothing: its figures mean nothing.

import { fdatasyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '#dist/cli/statistics.js';
import { DataDirectory } from '#dist/storage/directory.js';
import { ExitGuard } from '#dist/storage/exit-guard.js';
import { ReplicaStore } from '#dist/storage/replica-store.js';
import { StoreHost } from '#dist/storage/store-host.js';
import type { FlushMode } from '#dist/storage/store-writer.js';

const PAGE_BYTES = 4096;
/** As a replica that streams: entries not yet in the queue. */
const BEHIND_MAX = 1 << 20;
const BATCH = 16;
/** The log is cut behind so much, so that the file stays small. */
const LOG_BYTES_MAX = 64 << 20;
const FULL = { seconds: 3, flushes: 400, switchEntries: 1000, pages: 4000, repeats: 9 };
const SMOKE = { seconds: 0.005, flushes: 2, switchEntries: 10, pages: 40, repeats: 1 };

const { values } = parseArgs({
  options: {
    dir: { type: 'string', default: tmpdir() },
    seconds: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
});
const { flushes, switchEntries, pages, repeats, ...size } = values.smoke ? SMOKE : FULL;
const seconds = Number(values.seconds ?? size.seconds);
if (!(seconds > 0)) {
  console.error(`--seconds must be above 0, got ${values.seconds}`);
  process.exit(2);
}
const scratch = mkdtempSync(join(values.dir, 'viewstamp-storage-'));

async function main(): Promise<void> {
  console.log(`fdatasync after 64 KiB    ${flushLatency().toFixed(2)} ms`);
  console.log(`append to durable, 1 KiB  ${(await appendLatency()).toFixed(2)} ms`);
  for (const bytes of [1 << 10, 64 << 10])
    for (const mode of ['batch', 'interval', 'none'] as const)
      console.log(await throughput(mode, bytes));
  console.log(`switch, ${switchEntries} x 1 KiB      ${(await switches()).toFixed(1)} ms`);
  const { put, finish } = await checkpoints();
  console.log(
    `${pages} pages of 4 KiB      put ${put.toFixed(0)} ms, finish ${finish.toFixed(1)} ms`,
  );
}

function flushLatency(): number {
  const fd = openSync(join(scratch, 'flushes'), 'w');
  const block = Buffer.alloc(64 << 10, 1);
  const samples: number[] = [];
  for (let count = 0; count < flushes; count++) {
    writeSync(fd, block);
    const began = performance.now();
    fdatasyncSync(fd);
    samples.push(performance.now() - began);
  }
  return median(samples);
}

const ZERO = [0, 0, 0, 0] as const;

class Setup {
  readonly directory: DataDirectory;
  readonly host: StoreHost;
  readonly store: ReplicaStore;
  readonly #bell = { memory: new SharedArrayBuffer(4), at: 0 };
  readonly #words = new Int32Array(this.#bell.memory);
  flushed = 0;
  checkpoint = 0;
  head = 0;

  constructor(mode: FlushMode) {
    const guard = new ExitGuard(ExitGuard.memory());
    const configuration = {
      epoch: 0,
      members: [{ id: 0, role: 'active' }],
      storeBytes: 1,
    } as const;
    this.directory = DataDirectory.open({
      path: mkdtempSync(join(scratch, 'store-')),
      guard,
      create: () => ({ clusterId: 1, configuration, pageBytes: PAGE_BYTES, origin: ZERO }),
    });
    this.host = new StoreHost({ files: this.directory.files(0), mode, guard, bell: this.#bell });
    this.store = new ReplicaStore(this.host.link, {
      onFlushed: (op) => {
        this.flushed = op;
      },
      onCheckpoint: (op) => {
        this.checkpoint = op;
      },
      onFull: () => {},
      onFailed: (error) => {
        throw error;
      },
    });
    this.loadMeta();
  }

  loadMeta() {
    const result = this.store.load();
    if (result.kind === 'damaged') throw new Error(result.why);
    result.state.close();
    return result.state.meta;
  }

  entry(body: Uint8Array) {
    const op = ++this.head;
    const header = { op, epoch: 0, view: 0, ts: op, seed: 0, kind: 'batch', count: 1 } as const;
    return { ...header, chain: ZERO, body };
  }

  /** Sleeps as a replica does, until the store rings. */
  sleep(): void {
    Atomics.store(this.#words, 0, 1);
    if (this.store.poll() === 0) Atomics.wait(this.#words, 0, 1, 1);
  }

  async end(): Promise<void> {
    await this.host.stop();
    this.directory.close();
  }
}

async function appendLatency(): Promise<number> {
  const setup = new Setup('batch');
  const body = new Uint8Array(1 << 10);
  const samples: number[] = [];
  for (let count = 0; count < flushes; count++) {
    const began = performance.now();
    setup.store.append([setup.entry(body)], 0);
    while (setup.flushed < setup.head) setup.sleep();
    samples.push(performance.now() - began);
  }
  await setup.end();
  return median(samples);
}

/** Milliseconds on a processor of this thread. */
function threadCpu(): number {
  return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[0]) / 1e6;
}

async function throughput(mode: FlushMode, bytes: number): Promise<string> {
  const setup = new Setup(mode);
  const { store } = setup;
  const body = new Uint8Array(bytes).fill(7);
  const keep = Math.floor(LOG_BYTES_MAX / bytes);
  let front = 1;
  let appending = 0;
  const began = performance.now();
  const cpu = threadCpu();
  while (performance.now() - began < seconds * 1000) {
    if (store.waitingBytes >= BEHIND_MAX) {
      setup.sleep();
      continue;
    }
    const at = performance.now();
    const entries = Array.from({ length: BATCH }, () => setup.entry(body));
    store.append(entries, setup.head - BATCH);
    appending += performance.now() - at;
    if (setup.head - front > 2 * keep) {
      front = setup.head - keep;
      store.collect({ logStart: front, baseChain: ZERO, baseTs: front - 1 });
    }
    store.poll();
  }
  const used = threadCpu() - cpu;
  store.flush();
  const elapsed = (performance.now() - began) / 1000;
  await setup.end();
  const perSecond = setup.head / elapsed;
  return [
    `append ${bytes >> 10} KiB ${mode}`.padEnd(25),
    `${((perSecond * bytes) / 1e6).toFixed(0).padStart(4)} MB/s`,
    `${perSecond.toFixed(0).padStart(7)} entries/s`,
    `${((1000 * appending) / setup.head).toFixed(1)} us in append`,
    `${((1000 * used) / setup.head).toFixed(1)} us CPU of the thread per entry`,
  ].join('  ');
}

async function switches(): Promise<number> {
  const setup = new Setup('batch');
  const body = new Uint8Array(1 << 10);
  const samples: number[] = [];
  const meta = setup.loadMeta();
  for (let repeat = 0; repeat < repeats; repeat++) {
    setup.head = 0;
    const entries = Array.from({ length: switchEntries }, () => setup.entry(body));
    const began = performance.now();
    setup.store.switchTo({
      meta: { ...meta, head: switchEntries },
      base: 0,
      entries,
      checkpoint: null,
    });
    samples.push(performance.now() - began);
  }
  await setup.end();
  return median(samples);
}

async function checkpoints(): Promise<{ put: number; finish: number }> {
  const setup = new Setup('batch');
  const page = new Uint8Array(PAGE_BYTES).fill(3);
  const puts: number[] = [];
  const finishes: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    setup.store.append([setup.entry(new Uint8Array(10))], 0);
    const op = setup.head;
    const began = performance.now();
    for (let index = 0; index < pages; index++)
      while (!setup.store.putPage(op, 0, index, page)) setup.sleep();
    setup.store.flush();
    puts.push(performance.now() - began);
    const finishing = performance.now();
    setup.store.finishCheckpoint({ op, chain: ZERO, ts: op, root: ZERO, pageCounts: [pages] });
    while (setup.checkpoint < op) setup.sleep();
    finishes.push(performance.now() - finishing);
  }
  await setup.end();
  return { put: median(puts), finish: median(finishes) };
}

try {
  await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
