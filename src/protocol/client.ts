// The client's half of the protocol (protocol.md 3.14): it numbers requests, keeps them until they are answered, and repeats
// them; only the replicas decide what repetition means. Pure like the replica: the host owns rings, clock and promises.

import { assert } from './assert.js';
import type { ClientEffect, ClientEvent, ClientOutcome, LocalLevel } from './client-event.js';
import { TICK_MS } from './limits.js';
import { LocalLane } from './local-lane.js';
import type { ClientMessage, ReadReply, Reply, ServerMessage } from './message.js';
import { type OpenRead, ReadIds, ReadWindow } from './read-window.js';
import { type OpenRequest, RequestWindow } from './request-window.js';
import type { ClientId, Random32, ReplicaId, SessionNumber, ViewNumber } from './types.js';
import { sameClient } from './types.js';

/** Timers in ticks (CL2). */
export interface ClientTiming {
  /** First timeout of the oldest open request; doubles up to the next. */
  readonly retry: number;
  readonly retryMax: number;
  /** Pause after the supposed primary said that it is none. */
  readonly notPrimary: number;
  /** For how long another replica than the primary may leave a read unanswered. */
  readonly local: number;
}

export const DEFAULT_CLIENT_TIMING: ClientTiming = {
  retry: 100,
  retryMax: 200,
  notPrimary: 5,
  local: 20,
};

export interface ClientSessionOptions {
  /** 128 fresh random bits for each session (CL5). */
  readonly freshClientId: () => ClientId;
  /** A number below 2^53, fresh for each registration (CS5). */
  readonly freshNonce: () => number;
  readonly replicas: number;
  /** Ids 0..actives-1 are actives: the rotation of primaries. */
  readonly actives: number;
  readonly timing: ClientTiming;
  /** Open requests at most (CS2). */
  readonly sessionWindow: number;
  /** Worst-case bytes of replies of all open requests (CS6). */
  readonly sessionReplyBytes: number;
  /** Open reads at most. */
  readonly readsMax: number;
  /** The active that answers reads which need no primary, as long as it can. */
  readonly home: ReplicaId;
  readonly random: Random32;
}

type Phase = 'idle' | 'registering' | 'open' | 'closing' | 'closed';

/** Header fields of a request or read in a ring, generously: keeps several messages of one flush within the room. */
const ENVELOPE_BYTES = 128;
/** The pause before another registration grows to this power of two. */
const PAUSE_DOUBLINGS = 5;
/** Attempts that still lengthen a timeout. */
const ATTEMPT_DOUBLINGS = 16;
/** Of most steps; never added to. */
const NO_EFFECTS: ClientEffect[] = [];

export class ClientSession {
  readonly #options: ClientSessionOptions;
  #effects: ClientEffect[] = NO_EFFECTS;
  #clientId: ClientId;
  #nonce = 0;
  #phase: Phase = 'idle';
  #session: SessionNumber = 0;
  #view: ViewNumber = 0;
  /** View whose primary was already given everything once; -1 before any (CL2: once per stamp). */
  #resentView = -1;
  #now = 0;
  readonly #window: RequestWindow;
  readonly #reads: ReadWindow;
  readonly #local: LocalLane;
  /** Register or Unregister is due. */
  #sessionMessageDue = false;
  /** When the primary's ring was last seen without bytes of ours, or a reply came. */
  #readAt = 0;
  #deadline = 0;
  #attempt = 0;
  /** From the second attempt on, everybody is asked, in this flush. */
  #toAll = false;
  #waitUntil = 0;
  /** Sessions lost in a row before anything was answered in them. */
  #lostSessions = 0;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
    this.#clientId = options.freshClientId();
    this.#window = new RequestWindow(options.sessionWindow);
    const ids = new ReadIds();
    const { readsMax, home, actives } = options;
    this.#reads = new ReadWindow(readsMax, this.#window, ids);
    const { local: patience } = options.timing;
    this.#local = new LocalLane({ home, actives, patience, readsMax }, this.#window, ids);
  }

  get clientId(): ClientId {
    return this.#clientId;
  }

  get session(): SessionNumber {
    return this.#session;
  }

  get view(): ViewNumber {
    return this.#view;
  }

  get openRequests(): number {
    return this.#window.count;
  }

  get openReads(): number {
    return this.#reads.count + this.#local.count;
  }

  /** Primary of the latest view heard of (CL1). */
  get primary(): ReplicaId {
    return this.#view % this.#options.actives;
  }

  /** CS2, CS6: room in the window, and in the budget of replies unless nothing is open. */
  canSubmit(replyBytes: number): boolean {
    if (this.#phase !== 'open') return false;
    const window = this.#window;
    if (window.full) return false;
    return window.count === 0 || window.replyBytes + replyBytes <= this.#options.sessionReplyBytes;
  }

  canRead(): boolean {
    return this.#phase === 'open' && this.openReads < this.#options.readsMax;
  }

  /** Something waits for room in a ring. */
  get wantsFlush(): boolean {
    if (this.#phase === 'open' && this.#local.hasUnwritten) return true;
    if (this.#now < this.#waitUntil) return false;
    if (this.#sessionMessageDue || this.#toAll) return true;
    return this.#phase === 'open' && (this.#window.hasUnwritten || this.#reads.hasUnwritten);
  }

  step(event: ClientEvent): readonly ClientEffect[] {
    this.#effects = NO_EFFECTS;
    switch (event.type) {
      case 'open':
        this.#register();
        break;
      case 'submit':
        this.#submit(event.token, event.body, event.replyBytes);
        break;
      case 'read':
        this.#read(event.token, event.body, event.level);
        break;
      case 'message':
        this.#onMessage(event.from, event.message);
        break;
      case 'tick':
        this.#onTick(event.count, event.unread);
        break;
      case 'flush':
        this.#flush(event.room);
        break;
      case 'close':
        this.#close();
        break;
    }
    return this.#effects;
  }

  /** An array of one has room for one: to push into an empty one would take room for seventeen, for each reply. */
  #emit(effect: ClientEffect): void {
    if (this.#effects.length === 0) this.#effects = [effect];
    else this.#effects.push(effect);
  }

  // ── what the host wants ──

  #register(): void {
    this.#phase = 'registering';
    this.#session = 0;
    this.#nonce = this.#options.freshNonce();
    this.#sessionMessageDue = true;
    this.#restartTimer();
  }

  #submit(token: number, body: Uint8Array, replyBytes: number): void {
    assert(this.canSubmit(replyBytes), 'a request was submitted beyond the window');
    if (!this.#waits) this.#restartTimer();
    this.#window.add(token, body, replyBytes);
  }

  #read(token: number, body: Uint8Array, level: LocalLevel | null): void {
    assert(this.canRead(), 'a read was submitted beyond the limit');
    if (level !== null) {
      this.#local.add(token, body, level, this.#now);
      return;
    }
    if (!this.#waits) this.#restartTimer();
    this.#reads.add(token, body, null);
  }

  /** CS8: the session ends when nothing is open. */
  #close(): void {
    if (this.#phase === 'closed') return;
    if (this.#phase === 'idle') {
      this.#phase = 'closed';
      this.#emit({ type: 'closed' });
      return;
    }
    assert(!this.#waits && this.#local.count === 0, 'closed with calls open');
    this.#phase = 'closing';
    this.#sessionMessageDue = true;
    this.#restartTimer();
  }

  // ── what replicas say ──

  #onMessage(from: ReplicaId, message: ServerMessage): void {
    switch (message.kind) {
      case 'reply':
        this.#onReply(message);
        return;
      case 'readReply':
        this.#onReadReply(message);
        return;
      case 'viewStarted':
        this.#noteView(message.view, message.primaryId);
        return;
      case 'notPrimary':
        this.#onNotPrimary(from, message.view, message.primaryId);
        return;
      case 'busy':
        this.#onBusy(message.retryAfterMs, message.reason);
        return;
      case 'evicted':
        if (sameClient(message.clientId, this.#clientId) && message.session === this.#session)
          this.#onEvicted();
        return;
    }
  }

  /** CL4: only the reply to an open request of this very session counts. */
  #onReply(message: Reply): void {
    if (!sameClient(message.clientId, this.#clientId)) return;
    this.#noteView(message.view, null);
    if (message.requestNumber === 0) {
      this.#onSessionReply(message);
      return;
    }
    if (message.session !== this.#session) return;
    const open = this.#window.at(message.requestNumber);
    if (open === null) return;
    if (message.code === 'sessionInvalid') {
      this.#onEvicted();
      return;
    }
    this.#window.close(open);
    this.#progress();
    this.#noteLogFull(false);
    this.#local.seen(message.gen, message.op);
    const outcome: ClientOutcome =
      message.code === 'replyDropped'
        ? { code: 'replyDropped' }
        : { code: 'ok', result: message.result, op: message.op };
    this.#settle(open.token, outcome);
  }

  /** CS5: a session is adopted only from the reply to this very registration. */
  #onSessionReply(message: Reply): void {
    if (this.#phase === 'closing' && message.nonce === 0) {
      this.#phase = 'closed';
      this.#sessionMessageDue = false;
      this.#emit({ type: 'closed' });
      return;
    }
    if (this.#phase !== 'registering' || message.nonce !== this.#nonce) return;
    this.#phase = 'open';
    this.#session = message.session;
    this.#sessionMessageDue = false;
    this.#reads.changeSession();
    // What they were to follow belongs to the session that is gone.
    this.#askPrimary(this.#local.giveUp());
    this.#progress();
    this.#emit({ type: 'opened' });
  }

  #onReadReply(message: ReadReply): void {
    if (!sameClient(message.clientId, this.#clientId)) return;
    this.#noteView(message.view, null);
    const local = this.#local.close(message.readId, this.#now);
    if (local !== null) {
      this.#onLocalReply(local, message);
      return;
    }
    const open = this.#reads.close(message.readId);
    if (open === null) return;
    this.#local.seen(message.gen, message.op);
    this.#progress();
    this.#settle(open.token, { code: 'ok', result: message.result, op: message.op });
  }

  #onLocalReply(open: OpenRead, message: ReadReply): void {
    if (message.code === 'ok') {
      this.#local.seen(message.gen, message.op);
      this.#settle(open.token, { code: 'ok', result: message.result, op: message.op });
      return;
    }
    this.#askPrimary([open]);
    this.#leaveHome();
  }

  /** RD8: what it asked for it gets from the primary, and what comes next another replica may answer. */
  #leaveHome(): void {
    this.#askPrimary(this.#local.leave());
  }

  #askPrimary(reads: readonly OpenRead[]): void {
    if (reads.length === 0) return;
    if (!this.#waits) this.#restartTimer();
    for (const { token, body } of reads) this.#reads.add(token, body, null);
  }

  #settle(token: number, outcome: ClientOutcome): void {
    if (outcome.code === 'ok') this.#lostSessions = 0;
    this.#emit({ type: 'settle', token, outcome });
  }

  /** CL2: a sign of a higher view sends everything that is open there, once per view. */
  #noteView(view: ViewNumber, primaryId: ReplicaId | null): void {
    const later = view > this.#view;
    if (later) {
      this.#view = view;
      this.#waitUntil = 0;
      this.#emit({ type: 'view', epoch: 0, view, primaryId });
    }
    if (view !== this.#view) return;
    const begun = primaryId !== null && this.#resentView < view;
    if (later || begun) this.#resendAll();
    if (begun) this.#resentView = view;
  }

  #onNotPrimary(from: ReplicaId, view: ViewNumber, primaryId: ReplicaId | null): void {
    if (view > this.#view) {
      this.#noteView(view, null);
      return;
    }
    if (view < this.#view || from !== this.primary || primaryId !== null) return;
    // The supposed primary is not ready: ViewStarted will say when, and the pause keeps this from going round.
    this.#waitUntil = this.#now + this.#options.timing.notPrimary;
    this.#resendAll();
  }

  /** CL3: not an attempt; wait and repeat. */
  #onBusy(retryAfterMs: number, reason: 'queue' | 'log'): void {
    this.#waitUntil = this.#now + Math.max(1, Math.ceil(retryAfterMs / TICK_MS));
    this.#resendAll();
    this.#restartTimer();
    if (reason === 'log') this.#noteLogFull(true);
  }

  #noteLogFull(full: boolean): void {
    if (this.#reads.noteLogFull(full)) this.#emit({ type: 'logFull', full });
  }

  /** CL3: what is open ran once or never; a new client id begins a new session. */
  #onEvicted(): void {
    if (this.#phase === 'closing') {
      this.#phase = 'closed';
      this.#emit({ type: 'closed' });
      return;
    }
    if (this.#phase !== 'open') return;
    for (const { token } of this.#window.restart()) this.#settle(token, { code: 'evicted' });
    this.#clientId = this.#options.freshClientId();
    this.#register();
    // More clients than sessions, each evicting the next in step, would register for ever: chance gets them out of step.
    if (this.#lostSessions > 0) {
      const { notPrimary } = this.#options.timing;
      const most = notPrimary * 2 ** Math.min(this.#lostSessions, PAUSE_DOUBLINGS);
      this.#waitUntil = this.#now + 1 + (this.#options.random() % most);
    }
    this.#lostSessions++;
  }

  // ── repetition ──

  /** Calls are open. */
  get #waits(): boolean {
    return this.#window.count > 0 || this.#reads.count > 0;
  }

  #resendAll(): void {
    this.#window.rewind();
    this.#reads.rewind();
    if (this.#phase === 'registering' || this.#phase === 'closing') this.#sessionMessageDue = true;
    if (this.#waits) this.#emit({ type: 'resent', requests: this.#window.count });
  }

  #progress(): void {
    this.#readAt = this.#now;
    this.#attempt = 0;
    this.#toAll = false;
    this.#restartTimer();
  }

  #restartTimer(): void {
    const { retry, retryMax } = this.#options.timing;
    const ticks = Math.min(retryMax, retry * (1 << Math.min(this.#attempt, ATTEMPT_DOUBLINGS)));
    const spread = 0.8 + (0.4 * this.#options.random()) / 2 ** 32;
    this.#deadline = this.#now + Math.max(1, Math.round(ticks * spread));
  }

  /** CL2: silence proves nothing while the primary has not read what it was sent. */
  #onTick(count: number, unread: boolean): void {
    this.#now += count;
    if (!unread) this.#readAt = this.#now;
    if (this.#phase === 'open' && this.#local.silent(this.#now)) this.#leaveHome();
    if (!this.#waits && this.#phase !== 'registering' && this.#phase !== 'closing') return;
    // Not for ever: the thread behind that ring may have ended for good before this client heard of a later view.
    const patient = this.#now - this.#readAt < this.#options.timing.retryMax;
    if (unread && patient && this.#attempt === 0) {
      this.#restartTimer();
      return;
    }
    if (this.#now < this.#deadline) return;
    this.#attempt++;
    this.#toAll = this.#attempt >= 2;
    this.#restartTimer();
    this.#resendAll();
  }

  // ── writing ──

  #flush(room: readonly number[]): void {
    if (this.#phase === 'open') this.#flushLocal(room);
    if (this.#now < this.#waitUntil) return;
    const target = this.primary;
    if (this.#sessionMessageDue) this.#sendSessionMessage(room);
    if (this.#phase !== 'open') return;
    let left = room[target] ?? 0;
    // In the order of their numbers, each read behind the requests it follows (BP1: what does not fit waits).
    const window = this.#window;
    for (
      let open = window.nextUnwritten();
      open !== null && left > 0;
      open = window.nextUnwritten()
    ) {
      const cost = open.body.length + ENVELOPE_BYTES;
      if (cost > left && left !== room[target]) return;
      window.advance();
      left -= cost;
      this.#send(room, target, this.#request(open));
    }
    if (window.nextUnwritten() !== null) return;
    const reads = this.#reads;
    for (let open = reads.nextUnwritten(); open !== null; open = reads.nextUnwritten()) {
      const cost = open.body.length + ENVELOPE_BYTES;
      if (left <= 0 || (cost > left && left !== room[target])) return;
      reads.advance();
      left -= cost;
      this.#send(room, target, this.#linearizableRead(open));
    }
    this.#toAll = false;
  }

  #flushLocal(room: readonly number[]): void {
    const local = this.#local;
    const target = local.home;
    let left = room[target] ?? 0;
    for (let open = local.nextUnwritten(); open !== null; open = local.nextUnwritten()) {
      const cost = open.body.length + ENVELOPE_BYTES;
      if (left <= 0 || (cost > left && left !== room[target])) return;
      local.advance();
      left -= cost;
      this.#emit({
        type: 'send',
        to: target,
        message: {
          kind: 'localRead',
          clientId: this.#clientId,
          session: this.#session,
          readId: open.readId,
          epoch: 0,
          seenView: this.#view,
          ...local.fields(open),
          body: open.body,
        },
      });
    }
  }

  /** To the supposed primary, and to all with room when it stays silent. */
  #send(room: readonly number[], target: ReplicaId, message: ClientMessage): void {
    this.#emit({ type: 'send', to: target, message });
    if (!this.#toAll) return;
    for (let to = 0; to < this.#options.replicas; to++)
      if (to !== target && (room[to] ?? 0) > 0) this.#emit({ type: 'send', to, message });
  }

  #request(open: OpenRequest): ClientMessage {
    return {
      kind: 'request',
      clientId: this.#clientId,
      session: this.#session,
      requestNumber: open.requestNumber,
      acked: this.#window.answered,
      epoch: 0,
      seenView: this.#view,
      body: open.body,
    };
  }

  #linearizableRead(open: OpenRead): ClientMessage {
    return {
      kind: 'read',
      clientId: this.#clientId,
      session: this.#session,
      afterRequest: open.afterRequest,
      readId: open.readId,
      epoch: 0,
      seenView: this.#view,
      body: open.body,
    };
  }

  #sendSessionMessage(room: readonly number[]): void {
    const target = this.primary;
    if ((room[target] ?? 0) <= 0) return;
    this.#sessionMessageDue = false;
    const message = {
      clientId: this.#clientId,
      epoch: 0,
      seenView: this.#view,
    };
    this.#send(
      room,
      target,
      this.#phase === 'closing'
        ? { kind: 'unregister', ...message, session: this.#session }
        : { kind: 'register', ...message, nonce: this.#nonce },
    );
    if (this.#phase !== 'open') this.#toAll = false;
  }
}
