// The client's half of the protocol (protocol.md 3.14): it numbers requests, keeps them until they are answered, and repeats
// them; only the replicas decide what repetition means. Pure like the replica: the host owns rings, clock and promises. Here are
// its entrance and what the host may ask; the rules lie in the folder of the same name.

import { assert } from './assert.js';
import { close, register } from './client/registration.js';
import { onTick, restartTimer } from './client/repetition.js';
import { onMessage } from './client/replies.js';
import {
  type ClientSessionOptions,
  type ClientState,
  idleClient,
  NO_EFFECTS,
  supposedPrimary,
  waits,
} from './client/state.js';
import { flush, hasUnwritten } from './client/writing.js';
import type { ClientEffect, ClientEvent, LocalLevel } from './client-event.js';
import type { ClientId, ReplicaId, SessionNumber, ViewNumber } from './types.js';

export class ClientSession {
  readonly #state: ClientState;

  constructor(options: ClientSessionOptions) {
    this.#state = idleClient(options);
  }

  get clientId(): ClientId {
    return this.#state.clientId;
  }

  get session(): SessionNumber {
    return this.#state.session;
  }

  get view(): ViewNumber {
    return this.#state.view;
  }

  get openRequests(): number {
    return this.#state.window.count;
  }

  get openReads(): number {
    return this.#state.reads.count + this.#state.local.count;
  }

  /** Primary of the latest view heard of (CL1). */
  get primary(): ReplicaId {
    return supposedPrimary(this.#state);
  }

  /** CS2, CS6: room in the window, and in the budget of replies unless nothing is open. */
  canSubmit(replyBytes: number): boolean {
    const { phase, window, options } = this.#state;
    if (phase !== 'open') return false;
    if (window.full) return false;
    return window.count === 0 || window.replyBytes + replyBytes <= options.sessionReplyBytes;
  }

  canRead(): boolean {
    const { phase, options } = this.#state;
    return phase === 'open' && this.openReads < options.readsMax;
  }

  /** Something waits for room in a ring. */
  get wantsFlush(): boolean {
    return hasUnwritten(this.#state);
  }

  step(event: ClientEvent): readonly ClientEffect[] {
    const client = this.#state;
    client.effects = NO_EFFECTS;
    switch (event.type) {
      case 'open':
        register(client);
        break;
      case 'submit':
        this.#submit(event.token, event.body, event.replyBytes);
        break;
      case 'read':
        this.#read(event.token, event.body, event.level);
        break;
      case 'message':
        onMessage(client, event.from, event.message);
        break;
      case 'tick':
        onTick(client, event.count, event.ring);
        break;
      case 'flush':
        flush(client, event.room);
        break;
      case 'close':
        close(client);
        break;
    }
    return client.effects;
  }

  #submit(token: number, body: Uint8Array, replyBytes: number): void {
    const client = this.#state;
    assert(this.canSubmit(replyBytes), 'a request was submitted beyond the window');
    if (!waits(client)) restartTimer(client);
    client.window.add(token, body, replyBytes, client.now);
  }

  #read(token: number, body: Uint8Array, level: LocalLevel | null): void {
    const client = this.#state;
    assert(this.canRead(), 'a read was submitted beyond the limit');
    if (level !== null) {
      client.local.add(token, body, level, client.now);
      return;
    }
    if (!waits(client)) restartTimer(client);
    client.reads.add(token, body, null, client.now);
  }
}
