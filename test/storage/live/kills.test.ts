// What is killed: the threads of a replica, any number of times in one process, and whole processes. STORAGE_FACTOR multiplies
// how often.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { describe, expect, onTestFinished, test } from 'vitest';
import { DataDirectory } from '#dist/storage/directory.js';
import { ExitGuard } from '#dist/storage/exit-guard.js';
import { replicaFiles } from '#dist/storage/files.js';
import { loadStore } from '#dist/storage/load.js';
import { StoreHost } from '#dist/storage/store-host.js';
// @ts-expect-error: plain JavaScript, because threads and processes import it as it is
import { CLUSTER, faultOf } from './fixtures/world.mjs';

const FACTOR = Number(process.env['STORAGE_FACTOR'] ?? 1);
const MODES = ['batch', 'interval', 'none'] as const;
const REPLICA = new URL('./fixtures/replica.mjs', import.meta.url);
const OWNER = new URL('./fixtures/owner.mjs', import.meta.url);
const PROCESS = new URL('./fixtures/process.mjs', import.meta.url).pathname;

function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), 'viewstamp-kills-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function start(path: string, mode: string, what: string): ChildProcess {
  return spawn(process.execPath, [PROCESS, path, mode, what], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

function outputOf(child: ChildProcess): string[] {
  let text = '';
  const lines: string[] = [];
  child.stdout?.on('data', (data) => {
    text += data;
    const parts = text.split('\n');
    text = parts.pop() as string;
    lines.push(...parts);
  });
  return lines;
}

describe.each(MODES)('mode %s', (mode) => {
  test('threads that are ended at any instant leave a whole store to the next', async () => {
    const guard = new ExitGuard(ExitGuard.memory());
    const directory = DataDirectory.open({ path: scratch(), guard, create: () => CLUSTER });
    const host = new StoreHost({
      files: directory.files(0),
      mode,
      guard,
      intervalMs: 10,
      queueBytes: 1 << 20,
    });
    const words = new SharedArrayBuffer(64);
    const counts = new Float64Array(words);
    for (let round = 0; round < 30 * FACTOR; round++) {
      const worker = new Worker(REPLICA, { workerData: { link: host.link, words } });
      let thrown: unknown = null;
      worker.on('error', (error) => {
        thrown = error;
      });
      await new Promise((resolve) => worker.once('message', resolve).once('exit', resolve));
      await pause(Math.random() * 25);
      // The first one gets as far as all that it does.
      while (round === 0 && thrown === null && !counts.slice(1, 3).every((count) => count > 0))
        await pause(5);
      await worker.terminate();
      expect(thrown).toBeNull();
    }
    expect(await host.stop()).toBeNull();
    const result = loadStore(directory.files(0));
    if (result.kind === 'damaged') throw new Error(result.why);
    expect(faultOf(result.state)).toBeNull();
    const [flushed = 0, checkpoint = 0] = counts;
    expect(result.state.meta.head).toBeGreaterThanOrEqual(flushed);
    expect(result.state.checkpoint?.op ?? 0).toBeGreaterThanOrEqual(checkpoint);
    result.state.close();
    directory.close();
  }, 600_000);

  test('I20: a process that is killed at any instant loses nothing that was flushed', async () => {
    const path = scratch();
    let before = 0;
    for (let round = 0; round < 6 * FACTOR; round++) {
      const child = start(path, mode, 'work');
      const lines = outputOf(child);
      await once(child.stdout as NodeJS.ReadableStream, 'data');
      await pause(Math.random() * 150);
      child.kill('SIGKILL');
      await once(child, 'close');
      const last = lines.filter((line) => line.endsWith('.')).at(-1) as string;
      const [flushed, appended] = last.slice(0, -1).split(' ').slice(1).map(Number);
      const result = loadStore(replicaFiles(path, 0));
      if (result.kind === 'damaged') throw new Error(result.why);
      const { head } = result.state.meta;
      expect(faultOf(result.state)).toBeNull();
      result.state.close();
      // A prefix of what was appended, and in any case what was said to be flushed, now or before.
      expect(head).toBeGreaterThanOrEqual(mode === 'none' ? before : (flushed as number));
      expect(head).toBeGreaterThanOrEqual(before);
      if (mode !== 'batch') expect(head).toBeLessThanOrEqual((appended as number) + 10);
      before = head;
    }
  }, 600_000);

  test('a process that exits in the middle of writing exits, and leaves a whole store', async () => {
    for (let round = 0; round < 3 * FACTOR; round++) {
      const path = scratch();
      const child = start(path, mode, 'exit');
      child.stdout?.resume();
      const [code] = await once(child, 'exit');
      expect(code).toBe(0);
      const result = loadStore(replicaFiles(path, 0));
      if (result.kind === 'damaged') throw new Error(result.why);
      expect(faultOf(result.state)).toBeNull();
      result.state.close();
    }
  }, 600_000);
});

test('a thread that owns stores may throw, or be ended after a stop of its guard', async () => {
  const path = scratch();
  for (let round = 0; round < 8 * FACTOR; round++) {
    const guard = new ExitGuard(ExitGuard.memory());
    const owner = new Worker(OWNER, { workerData: { path, guard: guard.memory } });
    const errors: Error[] = [];
    owner.on('error', (error) => errors.push(error));
    await new Promise((resolve) => owner.once('message', resolve).once('exit', resolve));
    expect(errors).toEqual([]);
    await pause(Math.random() * 40);
    const exit = new Promise((resolve) => owner.once('exit', resolve));
    if (round % 2 === 0) {
      expect(guard.stop()).toBe(true);
      await owner.terminate();
    } else owner.postMessage('throw');
    await exit;
    expect(errors.map((error) => error.message)).toEqual(round % 2 === 0 ? [] : ['told to']);
  }
  const result = loadStore(replicaFiles(path, 0));
  if (result.kind === 'damaged') throw new Error(result.why);
  expect(faultOf(result.state)).toBeNull();
  result.state.close();
}, 600_000);
