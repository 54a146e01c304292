// Server programs of a comparison: found, started on free loopback ports, waited for and ended, each by its process id. They work in
// a scratch directory, in memory where there is room. What they hold is worth nothing afterwards, so they are killed and not asked
// to stop; neither they nor the directory outlive the run, whether it ends well, with an error or by Ctrl-C.

import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync, statfsSync } from 'node:fs';
import { createServer, type Server as Listener } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { processCpuNs } from '#dist/cli/cpu.js';
import { Scratch } from '#dist/cli/scratch.js';
import { messageOf } from '#dist/cli/usage.js';

export interface Program {
  readonly name: string;
  /** What brings it on Debian and its kin. */
  readonly package: string;
}

/** Where distributions put servers; not in everybody's PATH. */
const SYSTEM_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin'];
const MEMORY = '/dev/shm';
/** What the files of all servers take, with room to spare. */
const MEMORY_BYTES_LEAST = 4 * 2 ** 30;
const READY_MS = 30_000;
const PROBE_EVERY_MS = 50;
const LOG_TAIL_LINES = 5;

/** @returns where `program` is; undefined: not installed. */
export function findProgram(program: Program): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_DIRECTORIES];
  return directories
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, program.name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Ports of 127.0.0.1 that nobody listens on; all different. */
export async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<Listener>((resolve, reject) => {
          const listener = createServer();
          listener.once('error', reject);
          listener.listen(0, '127.0.0.1', () => resolve(listener));
        }),
    ),
  );
  const ports = listeners.map((listener) => {
    const address = listener.address();
    if (address === null || typeof address === 'string') throw new Error('a port has no number');
    return address.port;
  });
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}

function scratchParent(): string {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize >= MEMORY_BYTES_LEAST ? MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** One process. */
export class Server {
  readonly name: string;
  /** -1: it could not be started. */
  readonly pid: number;
  /** Resolves when it is gone. */
  readonly gone: Promise<void>;
  readonly #child: ChildProcess;
  readonly #log: string;
  #end: string | undefined;
  #killed = false;

  constructor(path: string, args: readonly string[], name: string, log: string) {
    this.name = name;
    this.#log = log;
    const output = openSync(log, 'w');
    // A group of its own: Ctrl-C is for this process, which then ends the servers.
    this.#child = spawn(path, args, { stdio: ['ignore', output, output], detached: true });
    closeSync(output);
    this.pid = this.#child.pid ?? -1;
    this.gone = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        this.#end = `${name} could not be started: ${error.message}`;
        resolve();
      });
      this.#child.once('exit', (code, signal) => {
        this.#end = `${name} ended with ${signal ?? `code ${code}`}`;
        resolve();
      });
    });
  }

  /** That it ended although nobody asked, with its last words; undefined: it did not. */
  get death(): string | undefined {
    return this.#end === undefined || this.#killed ? undefined : `${this.#end}${this.lastWords()}`;
  }

  lastWords(): string {
    const lines = readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES);
    return lines.map((line) => `\n  ${line}`).join('');
  }

  kill(): void {
    this.#killed = true;
    this.#child.kill('SIGKILL');
  }
}

export class Servers implements AsyncDisposable {
  readonly #scratch = new Scratch(scratchParent(), 'viewstamp-peers-');
  readonly #servers: Server[] = [];
  // Also where nothing can be awaited any more: process.exit() after a signal, an error that nobody caught.
  readonly #endNow = (): void => {
    for (const server of this.#servers) server.kill();
    this.#scratch[Symbol.dispose]();
  };

  constructor() {
    process.once('exit', this.#endNow);
  }

  /** For the files of whoever takes part. */
  get directory(): string {
    return this.#scratch.path;
  }

  /** Its files are in memory: a flush costs nothing. */
  get inMemory(): boolean {
    return this.directory.startsWith(MEMORY);
  }

  /** @throws when `program` is not installed. */
  start(program: Program, args: readonly string[]): Server {
    const path = findProgram(program);
    if (path === undefined) throw new Error(`${program.name} is not installed`);
    const name = `${program.name} ${this.#servers.length + 1}`;
    const log = join(this.directory, `${name.replace(' ', '-')}.log`);
    const server = new Server(path, args, name, log);
    this.#servers.push(server);
    return server;
  }

  /** Asks until `probe` no longer throws. @throws when one of `members` ends, or it takes too long */
  async ready<T>(members: readonly Server[], probe: () => Promise<T>): Promise<T> {
    const until = performance.now() + READY_MS;
    for (;;) {
      const [death] = members.flatMap((member) => member.death ?? []);
      if (death !== undefined) throw new Error(death);
      try {
        return await probe();
      } catch (error) {
        if (performance.now() >= until) {
          const said = members.map((member) => `\n${member.name}:${member.lastWords()}`).join('');
          throw new Error(`not ready after ${READY_MS / 1e3} s: ${messageOf(error)}${said}`);
        }
      }
      await sleep(PROBE_EVERY_MS);
    }
  }

  /** What ended although nobody asked, a line and last words each. */
  get deaths(): string[] {
    return this.#servers.flatMap((server) => server.death ?? []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.kill();
    await Promise.all(this.#servers.map((server) => server.gone));
    process.removeListener('exit', this.#endNow);
    this.#scratch[Symbol.dispose]();
  }
}

/** CPU time of this process and of `members`, ns. */
export function cpuOf(members: readonly Server[]): () => number {
  return () => members.reduce((sum, { pid }) => sum + processCpuNs(pid), processCpuNs());
}
