// A measurement in a process of its own, for what would be in the way of others or others in its: it gets its request as an argument and
// answers with one message.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface ChildOptions {
  readonly request: unknown;
  /** Flags of node. */
  readonly flags?: readonly string[];
  /** A program with its arguments that starts node. */
  readonly starter?: readonly string[];
}

export interface Answer<T> {
  readonly answer: T;
  /** All of its standard output. */
  readonly output: string;
}

/** @throws when it fails or ends without an answer; what it says about that goes to the standard error of this process */
export function askChild<T>(script: URL, options: ChildOptions): Promise<Answer<T>> {
  const [execPath = process.execPath, ...before] = [...(options.starter ?? []), process.execPath];
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(script), [JSON.stringify(options.request)], {
      execPath,
      execArgv: [...before, ...(options.flags ?? [])],
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    const end = (): void => {
      child.kill('SIGKILL');
    };
    process.once('exit', end);
    let output = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    let answer: { readonly message: T } | undefined;
    child.on('message', (message) => {
      answer = { message: message as T };
    });
    child.once('error', reject);
    child.once('close', (code, signal) => {
      process.removeListener('exit', end);
      if (code === 0 && answer !== undefined) resolve({ answer: answer.message, output });
      else reject(new Error(`${script.pathname} ended with ${signal ?? `code ${code}`}`));
    });
  });
}

/** The other side: runs `body` with the request and sends what it returns. */
export async function answerParent<Q, T>(body: (request: Q) => Promise<T>): Promise<void> {
  const result = await body(JSON.parse(process.argv[2] ?? '') as Q);
  process.send?.(result, () => process.disconnect());
}
