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
import { aborted } from './calls.js';
import type { ClientActor } from './client-actor.js';
import { EchoClient } from './echo-client.js';
import { KeySpace } from './key-space.js';
import { KvClient } from './kv-client.js';
import { follow } from './signals.js';

export const DRAIN_MS = 5000;
/** Of what is asked of the supervisor, which may take a view change or a recovery. */
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
  if (signal?.aborted) throw aborted(signal, 'not-executed');
  const work = begin();
  return await new Promise<T>((resolve, reject) => {
    const onTimeout = (): void =>
      reject(
        new VrError('VR_TIMEOUT', `no answer within timeoutMs = ${ms}: what was asked goes on`, {
          outcome: 'unknown',
          retryable: true,
          details: { timeoutMs: ms },
        }),
      );
    const timer = setTimeout(onTimeout, ms);
    const unfollow =
      signal === undefined ? null : follow(signal, () => reject(aborted(signal, 'unknown')));
    work.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      unfollow?.();
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
