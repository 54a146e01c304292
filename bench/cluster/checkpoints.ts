// `npm run bench:checkpoints -- [absence|cost|failover|endurance]`: what checkpoints and disks cost, and what they save.
//
//   absence    a replica stands still for a million operations over 100 000 keys, then for more over 100 keys: time, pages, bytes
//   cost       throughput with checkpoints against none, and of each way to flush against memory, interleaved
//   failover   view change and recovery after 10^3 operations and after 10^6
//   endurance  full load over a million keys of 100 bytes: resident memory, log, pauses (--minutes, 30 unless you say otherwise)

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Cluster, type OpenOptions, open } from 'viewstamp';
import { CapacityGate } from '#dist/cli/capacity.js';
import { describeEnvironment, recordEnvironment } from '#dist/cli/environment.js';
import { table } from '#dist/cli/output.js';
import { median } from '#dist/cli/statistics.js';
import { formatBytes, formatCount, formatMicros, formatMillis } from '#dist/cli/units.js';
import { describeCapacity } from './comparison.js';
import { viewChangeAfter } from './view-change.js';
import { untilAgreed, VALUE_BYTES, Writing } from './writing.js';

const MILLION = 1_000_000;
/** Operations that bring about checkpoints and cuts of the log, and machine code for what is done often. */
const WARM = 6 * MILLION;
/** Longer than a donor waits for somebody who fetched a checkpoint, and than counters take to be published. */
const PINNED_MS = 6000;
const COUNTED_MS = 300;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '30' },
    rounds: { type: 'string', default: '7' },
    scale: { type: 'string', default: '1' },
  },
});
/** Of all numbers of operations, for a quick look. */
const scale = Number(values.scale);
const gate = new CapacityGate();
const capacity: number[] = [];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function absence(): Promise<void> {
  // Smaller intervals than the default: a million operations are few entries when they come in large ones.
  await using cluster = await open({ checkpointEvery: 128 });
  const writing = new Writing(cluster, VALUE_BYTES);
  const rows: string[][] = [];
  await writing.operations(100_000 * scale, 100_000);
  for (const [count, keys] of [
    [MILLION * scale, 100_000],
    [MILLION * scale, 100],
  ] as const) {
    await untilAgreed(cluster);
    // Nobody keeps the log for a transfer that is over any more.
    await sleep(PINNED_MS);
    const before = cluster.metrics().replicas[2];
    await cluster.admin.pause(2);
    const rate = await writing.operations(count, keys);
    let of = 0;
    using _ = cluster.on('statetransfer', (transfer) => {
      of = transfer.of;
    });
    const began = performance.now();
    await cluster.admin.resume(2);
    await untilAgreed(cluster);
    const took = performance.now() - began;
    await sleep(COUNTED_MS);
    const after = cluster.metrics().replicas[2];
    const pages = (after?.pagesFetched ?? 0) - (before?.pagesFetched ?? 0);
    const bytes = (after?.bytesFetched ?? 0) - (before?.bytesFetched ?? 0);
    rows.push([
      formatCount(count),
      formatCount(keys),
      formatCount(Math.round(rate)),
      formatMillis(took),
      `${formatCount(pages)} of ${formatCount(of)}`,
      of === 0 ? '-' : `${((100 * pages) / of).toFixed(1)} %`,
      formatBytes(bytes),
    ]);
  }
  say(
    table(['away for', 'keys', 'ops/s meanwhile', 'back after', 'pages', 'share', 'bytes'], rows),
  );
}

interface Way {
  readonly name: string;
  readonly options: (dir: string) => OpenOptions;
}

/** A log in which no checkpoint is due while it is measured. */
const NEVER = {
  checkpointEvery: MILLION,
  limits: { logBytes: 2 ** 34, checkpointBytes: 2 ** 34 },
};
const WAYS: readonly Way[] = [
  { name: 'no checkpoints', options: () => NEVER },
  { name: 'checkpoints', options: () => ({}) },
  { name: 'fsync none', options: (dir) => ({ durability: { dir, fsync: 'none' } }) },
  { name: 'fsync interval', options: (dir) => ({ durability: { dir, fsync: 'interval' } }) },
  { name: 'fsync batch', options: (dir) => ({ durability: { dir, fsync: 'batch' } }) },
];

/** All are open and warm before the first round: of a fresh cluster the compilers take a third of the time, and the log is not cut yet. */
async function cost(): Promise<void> {
  const keys = 10_000;
  const measured = new Map<string, number[]>(WAYS.map(({ name }) => [name, []]));
  const scratch = mkdtempSync(join(tmpdir(), 'viewstamp-bench-'));
  const opened: { name: string; cluster: Cluster; writing: Writing }[] = [];
  try {
    for (const [at, { name, options }] of WAYS.entries()) {
      const cluster = await open(options(join(scratch, String(at))));
      const writing = new Writing(cluster, VALUE_BYTES);
      opened.push({ name, cluster, writing });
      await writing.operations(WARM * scale, keys);
    }
    for (let round = 0; round < Number(values.rounds); round++) {
      capacity.push(await gate.measure());
      for (const { name, writing } of opened)
        measured.get(name)?.push(await writing.forMs(2000 * scale, keys));
    }
  } finally {
    for (const { cluster } of opened) await cluster.close();
    rmSync(scratch, { recursive: true, force: true });
  }
  const memory = median(measured.get('checkpoints') ?? []);
  const never = median(measured.get('no checkpoints') ?? []);
  say(
    table(
      ['', 'ops/s', 'of memory', 'of no checkpoints'],
      WAYS.map(({ name }) => {
        const rate = median(measured.get(name) ?? []);
        return [
          name,
          formatCount(Math.round(rate)),
          (rate / memory).toFixed(2),
          (rate / never).toFixed(2),
        ];
      }),
    ),
  );
}

async function failover(): Promise<void> {
  const rows: string[][] = [];
  const medians: { view: number; back: number }[] = [];
  for (const operations of [1000, MILLION * scale]) {
    const views: number[] = [];
    const backs: number[] = [];
    for (let round = 0; round < Number(values.rounds); round++) {
      const { viewMs, backMs } = await viewChangeAfter(operations);
      views.push(viewMs);
      backs.push(backMs);
    }
    medians.push({ view: median(views), back: median(backs) });
    rows.push([
      formatCount(operations),
      formatMillis(median(views)),
      formatMillis(Math.max(...views)),
      formatMillis(median(backs)),
      formatMillis(Math.max(...backs)),
    ]);
  }
  say(table(['operations before', 'serves again', 'worst', 'all normal', 'worst'], rows));
  const [few, many] = medians;
  if (few !== undefined && many !== undefined)
    say(
      `after a million against after a thousand: view change ${(many.view / few.view).toFixed(2)}, recovery ${(many.back / few.back).toFixed(2)}`,
    );
}

async function endurance(): Promise<void> {
  const minutes = Number(values.minutes);
  const keys = MILLION * scale;
  await using cluster = await open();
  const writing = new Writing(cluster, VALUE_BYTES);
  await writing.operations(keys, keys);
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 60_000;
  const samples: { at: number; resident: number; log: number; done: number }[] = [];
  let mostLog = 0;
  const timer = setInterval(() => {
    void cluster.status().then(({ replicas }) => {
      const log = Math.max(...replicas.map(({ logBytes }) => logBytes));
      mostLog = Math.max(mostLog, log);
      const resident = process.memoryUsage.rss();
      samples.push({ at: elapsed(), resident, log, done: writing.done });
      if (samples.length % 6 === 0)
        say(
          `${elapsed().toFixed(1)} min: ${formatBytes(resident)} resident, log ${formatBytes(log)}, ${formatCount(writing.done)} operations`,
        );
    });
  }, 10_000);
  const rate = await writing.run(keys, () => elapsed() < minutes);
  clearInterval(timer);
  const settled = samples
    .filter(({ at }) => at >= Math.min(5, minutes / 6))
    .map(({ resident }) => resident);
  const [least, most] = [Math.min(...settled), Math.max(...settled)];
  say(
    `${formatCount(Math.round(rate))} operations/s for ${minutes} min over ${formatCount(keys)} keys of ${VALUE_BYTES} bytes`,
  );
  say(
    `resident memory after the first minutes: ${formatBytes(least)} to ${formatBytes(most)}, ${((100 * (most - least)) / least).toFixed(1)} %`,
  );
  say(`log: at most ${formatBytes(mostLog)}`);
  const { replicas } = cluster.metrics();
  say(
    table(
      ['replica', 'pass p99', 'longest', 'checkpoint slice p99', 'longest'],
      replicas.map((replica) => [
        `${replica.id}`,
        formatMicros(replica.passP99Micros),
        formatMicros(replica.passMaxMicros),
        formatMicros(replica.checkpointP99Micros),
        formatMicros(replica.checkpointMaxMicros),
      ]),
    ),
  );
}

const PARTS = { absence, cost, failover, endurance } as const;
const wanted = positionals.length === 0 ? ['absence', 'cost', 'failover'] : positionals;
say(describeEnvironment(recordEnvironment()));
for (const name of wanted) {
  const part = PARTS[name as keyof typeof PARTS];
  if (part === undefined) {
    process.stderr.write(`there is no '${name}': ${Object.keys(PARTS).join(', ')}\n`);
    process.exitCode = 2;
    break;
  }
  say(`\n${name}`);
  capacity.push(await gate.measure());
  await part();
}
capacity.push(await gate.measure());
await gate.close();
say(`\n${describeCapacity(capacity)}`);
