// Two threads, one ring, many messages of all lengths with number and checksum: shows that no message is lost, doubled,
// torn or reordered, and that no wake-up is lost. `--fraction 0.01` runs a hundredth. Exit 1 if anything of that happened.

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { spinBudgetMicros } from '#dist/transport/idle.js';
import { ringMemoryBytes } from '#dist/transport/ring.js';
import {
  PROGRESS_WORD,
  STRESS_WORDS_BYTES,
  type StressBoot,
  type StressResult,
} from './ring-stress.boot.js';

interface Case {
  readonly name: string;
  readonly ringBytes: number;
  readonly messages: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly sleep: StressBoot['sleep'];
}

const CASES: readonly Case[] = [
  {
    name: '1 MiB ring, 8 to 4096 B',
    ringBytes: 1 << 20,
    messages: 20_000_000,
    bytesMin: 8,
    bytesMax: 4096,
    sleep: 'block',
  },
  // A quarter of the ring, its header included, is the longest message there.
  {
    name: '4 KiB ring, 8 to 1016 B',
    ringBytes: 4 << 10,
    messages: 2_000_000,
    bytesMin: 8,
    bytesMax: 1016,
    sleep: 'park',
  },
  {
    name: '1 MiB ring, 64 B',
    ringBytes: 1 << 20,
    messages: 20_000_000,
    bytesMin: 64,
    bytesMax: 64,
    sleep: 'block',
  },
];

const THREADS = 2;
/** Without one message for so long, both sides sleep beside work. */
const STUCK_MS = 15_000;

const { values } = parseArgs({ options: { fraction: { type: 'string', default: '1' } } });
const fraction = Number(values.fraction);
if (!(fraction > 0 && fraction <= 1)) {
  console.error(`--fraction must be above 0 and at most 1, got ${values.fraction}`);
  process.exit(2);
}
let failed = false;
for (const one of CASES) failed = (await run(one)) || failed;
process.exit(failed ? 1 : 0);

async function run(one: Case): Promise<boolean> {
  const messages = Math.ceil(one.messages * fraction);
  const words = new SharedArrayBuffer(STRESS_WORDS_BYTES);
  const common = {
    ring: new SharedArrayBuffer(ringMemoryBytes(one.ringBytes)),
    words,
    messages,
    bytesMin: one.bytesMin,
    bytesMax: one.bytesMax,
    sleep: one.sleep,
    spinMicros: spinBudgetMicros(THREADS, availableParallelism()),
  };
  const began = performance.now();
  const producing = start({ ...common, role: 'producer' });
  const consuming = start({ ...common, role: 'consumer' });
  const consumer = await Promise.race([consuming.result, producing.failure, stuck(words)]);
  const seconds = (performance.now() - began) / 1000;
  // After a gap the consumer has stopped, and the producer would wait for it.
  const producer = consumer !== null && consumer.gaps === 0 ? await producing.result : null;
  await Promise.all([producing.worker.terminate(), consuming.worker.terminate()]);
  if (consumer === null || producer === null) {
    const done = Atomics.load(new Int32Array(words), PROGRESS_WORD);
    const gap = consumer?.firstGap ?? 'no message for a long time';
    console.log(`${one.name}: stopped after ${done} of ${messages} messages: ${gap}`);
    return true;
  }
  const gaps = consumer.bytes === producer.bytes ? 0 : 1;
  const overslept = consumer.overslept + producer.overslept;
  console.log(
    [
      `${one.name}: ${messages} messages in ${seconds.toFixed(1)} s`,
      `${(messages / seconds / 1e6).toFixed(2)} M/s`,
      `${(consumer.bytes / seconds / 1e9).toFixed(2)} GB/s`,
      `${consumer.sleeps} + ${producer.sleeps} sleeps`,
      `${overslept} lost wake-ups`,
      `${gaps} gaps`,
    ].join(', '),
  );
  return gaps > 0 || overslept > 0;
}

interface Side {
  readonly worker: Worker;
  readonly result: Promise<StressResult>;
  /** Rejects when the thread throws; never resolves. */
  readonly failure: Promise<never>;
}

function start(boot: StressBoot): Side {
  const worker = new Worker(new URL('./ring-stress.worker.js', import.meta.url), {
    name: boot.role,
    workerData: boot,
  });
  const failure = new Promise<never>((_, reject) => {
    worker.once('error', reject);
  });
  const message = new Promise<StressResult>((resolve) => {
    worker.once('message', resolve);
  });
  return { worker, result: Promise.race([message, failure]), failure };
}

/** Settles when no message arrived for too long. */
function stuck(words: SharedArrayBuffer): Promise<null> {
  const progress = new Int32Array(words);
  return new Promise((resolve) => {
    let seen = -1;
    const timer = setInterval(() => {
      const now = Atomics.load(progress, PROGRESS_WORD);
      if (now === seen) {
        clearInterval(timer);
        resolve(null);
      }
      seen = now;
    }, STUCK_MS);
    timer.unref();
  });
}
