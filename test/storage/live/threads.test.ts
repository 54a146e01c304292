// The store on its thread: order, waiting, a full disk, who may open a directory.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { expect, onTestFinished, test } from 'vitest';
import { loadDigest } from '#dist/actors/replica/digest.js';
import { inspectDirectory } from '#dist/cli/inspect/directory.js';
import { DataDirectory } from '#dist/storage/directory.js';
import { ExitGuard } from '#dist/storage/exit-guard.js';
import { loadStore } from '#dist/storage/load.js';
import { ReplicaStore } from '#dist/storage/replica-store.js';
import { StoreHost, type StoreHostOptions } from '#dist/storage/store-host.js';
// @ts-expect-error: plain JavaScript, because threads and processes import it as it is
import { CLUSTER, entryAt, frontAt, PAGES, pageAt, recordAt } from './fixtures/world.mjs';

const PROCESS = new URL('./fixtures/process.mjs', import.meta.url).pathname;

function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), 'viewstamp-threads-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function openDirectory(path: string): DataDirectory {
  const guard = new ExitGuard(ExitGuard.memory());
  return DataDirectory.open({ path, guard, create: () => CLUSTER });
}

class Running {
  readonly directory: DataDirectory;
  readonly host: StoreHost;
  readonly events: string[] = [];
  flushed = 0;
  checkpoint = 0;
  store: ReplicaStore;

  constructor(options: Partial<StoreHostOptions> = {}) {
    const guard = new ExitGuard(ExitGuard.memory());
    this.directory = DataDirectory.open({ path: scratch(), guard, create: () => CLUSTER });
    const files = this.directory.files(0);
    this.host = new StoreHost({ files, mode: 'batch', guard, queueBytes: 1 << 20, ...options });
    this.store = this.begin();
  }

  begin(): ReplicaStore {
    this.store = new ReplicaStore(this.host.link, {
      onFlushed: (op) => {
        this.flushed = op;
      },
      onCheckpoint: (op) => {
        this.checkpoint = op;
      },
      onFull: (full) => this.events.push(full ? 'full' : 'room'),
      onFailed: (error) => this.events.push(error.code),
    });
    return this.store;
  }

  load() {
    const result = this.store.load();
    if (result.kind === 'damaged') throw new Error(result.why);
    return result.state;
  }

  append(from: number, to: number, view = 0): void {
    for (let op = from; op <= to; op++) this.store.append([entryAt(op, view)], op - 1);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      this.store.poll();
      await pause(1);
    }
  }

  async end(): Promise<void> {
    expect(await this.host.stop()).toBeNull();
    this.directory.close();
  }
}

test('what does not fit into the queue waits by reference, and keeps its order', async () => {
  const running = new Running();
  running.load().close();
  // The other thread takes what it finds meanwhile, and all of it when this one is held up at the end.
  let mostWaiting = 0;
  for (let op = 1; op <= 600; op++) {
    running.append(op, op);
    mostWaiting = Math.max(mostWaiting, running.store.waitingBytes);
  }
  expect(mostWaiting).toBeGreaterThan(0);
  running.store.collect(frontAt(501));
  await running.until(() => running.flushed === 600 && running.store.waitingBytes === 0);
  running.store.flush();
  const state = running.begin() && running.load();
  expect(state.meta).toMatchObject({ ...frontAt(501), head: 600, commit: 599 });
  expect([...state.entries()].map((entry) => entry.op)).toEqual(
    Array.from({ length: 100 }, (_, index) => 501 + index),
  );
  state.close();
  await running.end();
});

test('a commit number alone is written with the next flush', async () => {
  const running = new Running();
  running.load().close();
  running.append(1, 10);
  running.store.append([], 10);
  running.store.flush();
  expect(running.flushed).toBe(10);
  const state = running.begin() && running.load();
  expect(state.meta.commit).toBe(10);
  state.close();
  await running.end();
});

test('only the next entry is taken, and none that is too long', async () => {
  const running = new Running();
  running.load().close();
  expect(() => running.append(2, 2)).toThrow(expect.objectContaining({ code: 'VR_CONFIG' }));
  const body = new Uint8Array(running.store.bodyMax + 1);
  expect(() => running.store.append([{ ...entryAt(1, 0), body }], 0)).toThrow(
    expect.objectContaining({ code: 'VR_CONFIG' }),
  );
  running.store.append([{ ...entryAt(1, 0), body: body.subarray(1) }], 0);
  running.store.flush();
  expect(running.flushed).toBe(1);
  await running.end();
});

test('CP3: a checkpoint is told when it is durable, and a switch adopts one with its pages', async () => {
  const running = new Running();
  const { meta } = running.load();
  running.append(1, 50);
  const putAll = (op: number) => {
    for (let index = 0; index < PAGES; index++)
      expect(running.store.putPage(op, 0, index, pageAt(op, index))).toBe(true);
  };
  putAll(40);
  running.store.finishCheckpoint(recordAt(40));
  await running.until(() => running.checkpoint === 40);
  putAll(1000);
  const front = frontAt(1001);
  running.store.switchTo({
    meta: { ...meta, ...front, head: 3000, commit: 1000 },
    base: 1000,
    // More than the queue holds.
    entries: (function* () {
      for (let op = 1001; op <= 3000; op++) yield entryAt(op, 0);
    })(),
    checkpoint: recordAt(1000),
  });
  running.append(3001, 3002);
  running.store.flush();
  const state = running.begin() && running.load();
  expect(state.meta).toMatchObject({ head: 3002, logStart: 1001 });
  expect(state.checkpoint).toEqual(recordAt(1000));
  expect(Buffer.from(state.page(0, 7)).equals(pageAt(1000, 7))).toBe(true);
  state.close();
  await running.end();
});

test('a full queue takes no page, and later it does', async () => {
  const running = new Running();
  running.load().close();
  let index = 0;
  while (running.store.putPage(9, 0, index, pageAt(9, index))) index++;
  expect(index).toBeGreaterThan(0);
  await running.until(() => running.store.putPage(9, 0, index, pageAt(9, index)));
  await running.end();
});

test('P3: a reset store is damaged until a switch', async () => {
  const running = new Running();
  const { meta } = running.load();
  running.append(1, 50);
  running.store.reset();
  expect(running.begin().load()).toMatchObject({ kind: 'damaged' });
  running.store.switchTo({ meta, base: 0, entries: [], checkpoint: null });
  running.append(1, 3);
  running.store.flush();
  const state = running.begin() && running.load();
  expect(state.meta.head).toBe(3);
  state.close();
  await running.end();
});

test('P9: at its capacity a store says so, loses nothing, and says when there is room', async () => {
  const running = new Running({ capacityBytes: 400_000 });
  running.load().close();
  running.append(1, 400);
  await running.until(() => running.events.length === 1);
  running.store.flush();
  expect(running.flushed).toBe(400);
  running.store.collect(frontAt(390));
  await running.until(() => running.events.length === 2);
  expect(running.events).toEqual(['full', 'room']);
  await running.end();
});

test('mode interval gathers, mode none promises nothing', async () => {
  const interval = new Running({ mode: 'interval', intervalMs: 5 });
  interval.load().close();
  interval.append(1, 10);
  await interval.until(() => interval.flushed === 10);
  await interval.end();
  const none = new Running({ mode: 'none' });
  none.load().close();
  none.append(1, 10);
  none.store.flush();
  expect(none.flushed).toBe(0);
  const state = none.begin() && none.load();
  expect(state.meta.head).toBe(10);
  state.close();
  await none.end();
});

test('a store that has ended refuses, and says so', async () => {
  const running = new Running();
  running.load().close();
  await running.end();
  running.append(1, 1);
  running.store.poll();
  expect(running.events).toEqual(['VR_DISK']);
  expect(() => running.store.flush()).toThrow(expect.objectContaining({ code: 'VR_DISK' }));
});

test('after the exit of the process was asked for, a thread that enters LMDB stays outside', async () => {
  const guard = new ExitGuard(ExitGuard.memory());
  guard.stop();
  const worker = new Worker(new URL('./fixtures/parked.mjs', import.meta.url), {
    workerData: guard.memory,
  });
  const said: unknown[] = [];
  worker.on('message', (message) => said.push(message));
  await once(worker, 'message');
  await pause(20);
  expect(guard.stop(1)).toBe(true);
  await worker.terminate();
  expect(said).toEqual(['before']);
});

test('another thread of this process cannot open the directory, until that thread has ended', async () => {
  const path = scratch();
  const hold = async () => {
    const holder = new Worker(new URL('./fixtures/holder.mjs', import.meta.url), {
      workerData: path,
    });
    await once(holder, 'message');
    return holder;
  };
  const locked = expect.objectContaining({ code: 'VR_DIR_LOCKED' });
  const first = await hold();
  expect(() => openDirectory(path)).toThrow(locked);
  await first.terminate();
  const second = await hold();
  expect(() => openDirectory(path)).toThrow(locked);
  second.postMessage('close');
  await once(second, 'exit');
  openDirectory(path).close();
});

test('another process cannot open the directory, and one that was killed is followed at once', async () => {
  const path = scratch();
  const first = spawn(process.execPath, [PROCESS, path, 'batch', 'hold'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(first.stdout, 'data');
  expect(() => openDirectory(path)).toThrow(
    expect.objectContaining({
      code: 'VR_DIR_LOCKED',
      details: expect.objectContaining({ pid: first.pid }),
    }),
  );
  expect(inspectDirectory(path, await loadDigest())).toMatchObject({
    owner: { state: 'alive', pid: first.pid },
    replicas: [{ store: { kind: 'whole' } }],
  });
  first.kill('SIGKILL');
  await once(first, 'exit');
  openDirectory(path).close();
});

/** A file system of 16 MiB in a namespace of its own, where that is allowed. */
const NAMESPACE = ['-Urm', 'sh', '-c'];
const mayMount =
  spawnSync('unshare', [...NAMESPACE, 'mount -t tmpfs -o size=1m tmpfs /mnt']).status === 0;

test.skipIf(!mayMount)(
  'P9: on a full disk nothing is lost, and it goes on when there is room',
  async () => {
    const path = scratch();
    const script =
      'mount -t tmpfs -o size=16m tmpfs "$1" && head -c 9m /dev/zero > "$1/ballast" && exec "$2" "$3" "$1/d" batch fill "$1/ballast"';
    const child: ChildProcess = spawn(
      'unshare',
      [...NAMESPACE, script, 'sh', path, process.execPath, PROCESS],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    let text = '';
    child.stdout?.on('data', (data) => {
      text += data;
    });
    const said = async (word: string) => {
      while (!new RegExp(`^${word} .*\\.$`, 'm').test(text)) await pause(5);
    };
    await said('stuck');
    expect(text).toMatch(/^stuck full VR_DISK true\.$/m);
    child.stdin?.end();
    const [code] = await once(child, 'exit');
    expect(text).toMatch(/^after full,room 0\.$/m);
    expect(text).toMatch(/^stopped well\.$/m);
    expect(code).toBe(0);
  },
);

/** Lets system calls fail, where that is allowed. */
const STRACE = ['-f', '-qq', '-o', '/dev/null', '-e', 'trace=fdatasync'];
const mayTrace = spawnSync('strace', [...STRACE, 'true']).status === 0;

test.skipIf(!mayTrace)(
  'P9: a flush that fails ends the store, and what was flushed is there',
  async () => {
    const path = scratch();
    const inject = ['-e', 'inject=fdatasync:error=EIO:when=30+'];
    const command = [...STRACE, ...inject, process.execPath, PROCESS, path, 'batch', 'fail'];
    const { status, stdout } = spawnSync('strace', command, { encoding: 'utf8' });
    expect(status).toBe(0);
    const [, flushed] = /^failed VR_DISK (\d+)\.$/m.exec(stdout) as RegExpExecArray;
    expect(stdout).toMatch(/^ended VR_DISK /m);
    const directory = openDirectory(path);
    const result = loadStore(directory.files(0));
    if (result.kind === 'damaged') throw new Error(result.why);
    expect(result.state.meta.head).toBeGreaterThanOrEqual(Number(flushed));
    result.state.close();
    directory.close();
  },
);
