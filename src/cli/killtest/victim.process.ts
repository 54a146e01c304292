// The process that is killed: a cluster in a directory, and its clients. It does what the process that started it asks for, says what
// happens, and never ends by itself but when it cannot open.

import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Cluster, type Item, open, VrError } from '../../index.js';
import { digests } from '../soak/digests.js';
import type { ClientTask } from './client.worker.js';
import type { Found, LoadOptions, Question, VictimNews, VictimOptions } from './victim.js';

const WHOLE_MS = 60_000;
/** Standard streams and the channel to the parent come first. */
const FIRST_JOURNAL_FD = 4;

/** What cannot be said any more is for nobody: whoever started this process has ended. */
function tell(news: VictimNews): void {
  if (process.connected) process.send?.(news, undefined, undefined, () => undefined);
}

function watch(cluster: Cluster): void {
  cluster.on('replicacrash', ({ replica, error }) => {
    const { code, message } = error as { code?: string; message?: string };
    tell({ type: 'crash', replica, code: code ?? null, message: message ?? String(error) });
  });
  cluster.on('storedamaged', (detail) => tell({ type: 'damage', ...detail }));
  cluster.on('divergence', (detail) => tell({ type: 'damage', ...detail }));
}

async function whole(cluster: Cluster): Promise<void> {
  for (const until = performance.now() + WHOLE_MS; ; await sleep(5)) {
    const { healthy, replicas } = await cluster.status();
    if (healthy && replicas.every(({ state }) => state === 'normal')) return;
    if (performance.now() < until) continue;
    const states = replicas.map(({ id, state }) => `replica ${id} ${state}`);
    throw new Error(`not whole ${WHOLE_MS / 1e3} s after it opened: ${states.join(', ')}`);
  }
}

async function read(cluster: Cluster, keys: readonly string[]): Promise<Found[]> {
  const items = await Promise.all(keys.map((key) => cluster.kv.getItem(key)));
  return items.map((item: Item<unknown> | undefined) =>
    item === undefined
      ? null
      : { value: item.value, revision: item.revision, created: item.createdRevision },
  );
}

function startLoad(cluster: Cluster, load: LoadOptions): void {
  const { threads, appenders, ...rest } = load;
  for (let thread = 0; thread < threads; thread++) {
    const { data, transfer } = cluster.share({ name: `writers-${thread}` });
    const task: ClientTask = {
      ...rest,
      link: data,
      fd: FIRST_JOURNAL_FD + thread,
      thread,
      threads,
      appenders: appenders.filter(({ lane }) => lane % threads === thread),
    };
    const worker = new Worker(new URL('./client.worker.js', import.meta.url), {
      name: `writers-${thread}`,
      workerData: task,
      transferList: [...transfer],
    });
    worker.on('error', (error) => tell({ type: 'failed', code: null, message: String(error) }));
  }
}

async function answer(cluster: Cluster, question: Question): Promise<unknown> {
  switch (question.type) {
    case 'read':
      return await read(cluster, question.keys);
    case 'digests':
      return (await digests(cluster)).digestsEqual;
    case 'status':
      return await cluster.status();
    case 'load':
      startLoad(cluster, question.load);
      return null;
    case 'close':
      await cluster.close();
      return null;
  }
}

async function serve(options: VictimOptions): Promise<void> {
  const { replicas, witnesses, durability } = options;
  const beganAt = performance.now();
  const cluster = await open({ name: 'killtest', replicas, witnesses, durability });
  watch(cluster);
  const openMs = performance.now() - beganAt;
  let closing = false;
  await whole(cluster);
  process.on('message', ({ id, question }: { id: number; question: Question }) => {
    void answer(cluster, question)
      .then(
        (reply) => tell({ type: 'reply', id, reply }),
        (error: unknown) => tell({ type: 'reply', id, error: String(error) }),
      )
      .then(() => {
        if (question.type !== 'close') return;
        // Nothing keeps it from its end then.
        closing = true;
        process.disconnect();
      });
  });
  // Nobody is left to end it.
  process.once('disconnect', () => {
    if (!closing) process.exit(1);
  });
  tell({ type: 'open', openMs, wholeMs: performance.now() - beganAt });
}

serve(JSON.parse(process.argv[2] ?? '{}') as VictimOptions).catch((error: unknown) => {
  const code = VrError.is(error) ? error.code : null;
  tell({ type: 'failed', code, message: error instanceof Error ? error.message : String(error) });
  // Only after it was said; open threads would keep the process alive.
  process.disconnect?.();
  process.exitCode = 1;
});
