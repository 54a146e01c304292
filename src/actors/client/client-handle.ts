// What a cluster and an attached client share: the handle that users hold on the client of their thread, and control calls under a
// deadline.

import type {
  CallDefaults,
  CallOptions,
  Client,
  CloseOptions,
  ClusterStatus,
  Echo,
  Kv,
} from '../api.js';
import { type ClientDefaults, checkCall, clientDefaults, timeout } from '../call-options.js';
import { VrError } from '../errors.js';
import type { ClientActor } from './client-actor.js';
import { EchoClient } from './echo-client.js';
import { KeySpace } from './key-space.js';
import { KvClient } from './kv-client.js';

export const DRAIN_MS = 5000;
export const CONTROL_TIMEOUT_MS = 30_000;

export function closed(): VrError {
  return new VrError('VR_CLOSED', 'the cluster is closed');
}

/** A control call under the caller's deadline and signal; the call itself goes on. Its timer keeps the process alive. */
export async function limited<T>(
  begin: () => Promise<T>,
  options: CallOptions | undefined,
  fallbackMs: number,
): Promise<T> {
  checkCall(options);
  const { signal } = options ?? {};
  const ms = timeout(options?.timeoutMs, fallbackMs);
  if (signal?.aborted)
    throw new VrError('VR_ABORTED', 'the call was aborted', { cause: signal.reason });
  const work = begin();
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(
      () =>
        reject(
          new VrError('VR_TIMEOUT', `no answer within ${ms} ms`, {
            outcome: 'unknown',
            retryable: true,
          }),
        ),
      ms,
    );
    const onAbort = (): void =>
      reject(
        new VrError('VR_ABORTED', 'the call was aborted', {
          outcome: 'unknown',
          cause: signal?.reason,
        }),
      );
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    });
  });
}

/** The part that a cluster and an attached client share. */
export class ClientHandle implements Client {
  readonly kv: Kv;
  readonly echo: Echo;
  protected readonly actor: ClientActor;
  protected readonly defaults: ClientDefaults;
  readonly #status: () => Promise<ClusterStatus>;
  readonly #leave: (options: CloseOptions | undefined) => Promise<void>;

  constructor(
    actor: ClientActor,
    options: {
      defaults: ClientDefaults;
      status: () => Promise<ClusterStatus>;
      leave: (options: CloseOptions | undefined) => Promise<void>;
    },
  ) {
    this.actor = actor;
    this.defaults = options.defaults;
    this.#status = options.status;
    this.#leave = options.leave;
    this.kv = new KvClient(actor, {
      defaults: options.defaults,
      keys: new KeySpace('', actor.boot.settings),
      encoding: undefined,
    });
    this.echo = new EchoClient(actor, options.defaults.timeoutMs);
  }

  get id(): string {
    return this.actor.id;
  }

  with(defaults: CallDefaults): Client {
    const { viewTimeoutMs } = this.actor.boot.settings;
    return new ClientHandle(this.actor, {
      defaults: clientDefaults(defaults, this.defaults, viewTimeoutMs),
      status: this.#status,
      leave: this.#leave,
    });
  }

  status(options?: CallOptions): Promise<ClusterStatus> {
    return limited(this.#status, options, this.defaults.timeoutMs);
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#leave(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
