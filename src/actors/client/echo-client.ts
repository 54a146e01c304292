// The echo service: a value through one full replication round and back. For measuring, and for trying a cluster out.

import { performance } from 'node:perf_hooks';
import { SERVICE_ECHO } from '../../service/operation.js';
import type { CallOptions, Echo } from '../api.js';
import { checkCall, timeout } from '../call-options.js';
import { type Outcome, VrError } from '../errors.js';
import { aborted, Call, type Submission, timedOut } from './calls.js';
import type { ClientActor } from './client-actor.js';
import { codecFor } from './codecs.js';

class EchoCall extends Call implements Submission {
  readonly level = null;
  readonly read = false;
  readonly operations = 1;
  readonly body: Uint8Array;
  sent = false;
  readonly #decode: (bytes: Buffer) => unknown;

  constructor(
    what: { body: Uint8Array; decode: (bytes: Buffer) => unknown },
    resolve: (value: never) => void,
    reject: (error: unknown) => void,
  ) {
    super(resolve, reject);
    this.body = what.body;
    this.#decode = what.decode;
  }

  get replyBytes(): number {
    return this.body.length;
  }

  get abandoned(): boolean {
    return this.done;
  }

  get outcome(): Outcome {
    return this.sent ? 'unknown' : 'not-executed';
  }

  override giveUp(): Outcome {
    return this.outcome;
  }

  settle(bytes: Uint8Array): null {
    this.resolve(this.#decode(Buffer.from(bytes)));
    return null;
  }

  expire(nowMs: number): void {
    if (this.deadline <= nowMs) this.fail(timedOut(this.outcome));
  }
}

export class EchoClient implements Echo {
  readonly #actor: ClientActor;
  readonly #timeoutMs: number;

  constructor(actor: ClientActor, timeoutMs: number) {
    this.#actor = actor;
    this.#timeoutMs = timeoutMs;
  }

  #call<T>(value: Uint8Array, decode: (bytes: Buffer) => T, options?: CallOptions): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      checkCall(options);
      const timeoutMs = timeout(options?.timeoutMs, this.#timeoutMs);
      const signal = options?.signal;
      const blocked = signal?.aborted
        ? aborted(signal, 'not-executed')
        : this.#actor.refusal(1, true);
      if (blocked !== null) {
        reject(blocked);
        return;
      }
      const { valueBytes } = this.#actor.boot.settings;
      if (value.length > valueBytes)
        throw new VrError(
          'VR_VALUE_TOO_LARGE',
          `a value must have at most limits.valueBytes = ${valueBytes} bytes`,
          {
            details: { limit: 'valueBytes', valueBytes },
          },
        );
      const body = new Uint8Array(1 + value.length);
      body[0] = SERVICE_ECHO;
      body.set(value, 1);
      const call = new EchoCall({ body, decode }, resolve as (value: never) => void, reject);
      call.deadline = this.#actor.deadline(timeoutMs);
      call.follow(options);
      this.#actor.submit([call]);
    });
  }

  echo<T>(value: T, options?: CallOptions): Promise<T> {
    const codec = codecFor('msgpack');
    return new Promise<T>((resolve, reject) => {
      const bytes = codec.encode(value);
      this.#call(bytes, (answer) => codec.decode(answer, 0, answer.length) as T, options).then(
        resolve,
        reject,
      );
    });
  }

  async ping(options?: CallOptions): Promise<number> {
    const began = performance.now();
    await this.#call(new Uint8Array(0), () => undefined, options);
    return performance.now() - began;
  }
}
