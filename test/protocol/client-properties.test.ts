// The client's half against a model of the whole group: a history, a table of sessions and a log that may be lost, behind a
// network that loses, doubles, delays and reorders. Whatever happens, each call ends once and truly (CL1 to CL5, CS2, RD0).

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClientSession } from '../../src/protocol/client.js';
import type { ClientEvent, ClientOutcome } from '../../src/protocol/client-event.js';
import type {
  ClientMessage,
  Read,
  Register,
  Reply,
  Request,
  ServerMessage,
  Unregister,
} from '../../src/protocol/message.js';
import { type ClientId, sameClient } from '../../src/protocol/types.js';

const REPLICAS = 3;
const WINDOW = 4;
const REPLY_BYTES = 100;
const READS = 3;
const AMPLE = [1e6, 1e6, 1e6];
const NONE = new Uint8Array(0);
const PLACE = { gen: 0, epoch: 0, idx: 0 };

/** `expect` is too slow for what is checked at every step. */
function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

interface Row {
  readonly clientId: ClientId;
  readonly nonce: number;
  last: number;
  readonly replies: Map<number, Reply>;
}

/** All replicas together, as far as a client can tell: what is executed is never lost, what is only taken may be. */
class Group {
  view = 0;
  /** The view each replica knows of. */
  readonly known: number[] = new Array<number>(REPLICAS).fill(0);
  /** Tokens of executed requests. */
  readonly history: number[] = [];
  readonly rows = new Map<number, Row>();
  readonly out: { from: number; message: ServerMessage }[] = [];
  refuses: 'queue' | 'log' | null = null;
  abdicating = false;
  /** One that died: nobody reads its rings. */
  dead = -1;
  #log: (Register | Unregister | Request)[] = [];
  #admitted = new Map<number, number>();
  #blocked: Read[] = [];
  #sessions = 0;

  get primary(): number {
    return this.view % REPLICAS;
  }

  hear(to: number, message: ClientMessage): void {
    const view = this.known[to] ?? 0;
    const leader = view % REPLICAS;
    if (leader !== to || (this.abdicating && to === this.primary)) {
      const primaryId = leader === to ? null : leader;
      this.#say({ kind: 'notPrimary', epoch: 0, view, primaryId, status: 'normal' }, to);
      return;
    }
    if (message.seenView > view) return; // CS4
    if (message.kind === 'localRead') throw new Error('nobody asked for a local read');
    if (message.kind === 'read') this.#onRead(message, view);
    else if (message.kind === 'request') this.#onRequest(message, view);
    else if (message.kind === 'register' && this.#answered(message)) return;
    else this.#take(message, view);
  }

  #say(message: ServerMessage, from = this.primary): void {
    this.out.push({ from, message });
  }

  #live({ session, clientId }: Request | Read): Row | null {
    const row = this.rows.get(session);
    if (row !== undefined && sameClient(row.clientId, clientId)) return row;
    this.#say({ kind: 'evicted', clientId, session });
    return null;
  }

  /** N2. One that is late is primary of an older view: what it takes is lost with it. */
  #onRequest(message: Request, view: number): void {
    const { session, requestNumber } = message;
    const row = this.#live(message);
    if (row === null) return;
    const kept = row.replies.get(requestNumber);
    if (kept !== undefined) this.#say({ ...kept, view });
    const highest = Math.max(this.#admitted.get(session) ?? 0, row.last);
    if (requestNumber === highest + 1 && this.#take(message, view))
      this.#admitted.set(session, requestNumber);
  }

  #take(message: Register | Unregister | Request, view: number): boolean {
    const requestNumber = message.kind === 'request' ? message.requestNumber : 0;
    const reason = this.refuses;
    if (reason !== null)
      this.#say({ kind: 'busy', requestNumber, readId: 0, retryAfterMs: 20, reason });
    if (reason !== null || view < this.view) return false;
    this.#log.push(message);
    return true;
  }

  #onRead(read: Read, view: number): void {
    if (view < this.view) return; // no quorum echoes it
    const row = this.#live(read);
    if (row === null) return;
    if (row.last < read.afterRequest) {
      this.#blocked.push(read);
      return;
    }
    const { clientId, readId, body } = read;
    const op = this.history.length;
    const result = body.slice(0, 2);
    this.#say({ kind: 'readReply', clientId, readId, ...PLACE, view, op, code: 'ok', result });
  }

  #answered({ clientId, nonce }: Register): boolean {
    for (const [session, row] of this.rows)
      if (sameClient(row.clientId, clientId) && row.nonce === nonce) {
        this.#say(this.#reply(clientId, session, 0, { nonce }));
        return true;
      }
    return false;
  }

  #reply(clientId: ClientId, session: number, requestNumber: number, more: Partial<Reply>): Reply {
    const { view } = this;
    const place = { ...PLACE, view, op: this.history.length, nonce: 0 };
    const result = { code: 'ok' as const, result: NONE };
    return { kind: 'reply', clientId, session, requestNumber, ...place, ...result, ...more };
  }

  /** Executes the first `count` of what was taken. */
  execute(count: number): void {
    for (const message of this.#log.splice(0, count)) {
      if (message.kind === 'register') this.#register(message);
      else if (message.kind === 'unregister') {
        this.#end(message.clientId);
        this.#say(this.#reply(message.clientId, message.session, 0, {}));
      } else this.#apply(message);
    }
    for (const read of this.#blocked.splice(0)) this.#onRead(read, this.view);
  }

  #register(message: Register): void {
    if (this.#answered(message)) return;
    const { clientId, nonce } = message;
    this.#end(clientId);
    this.rows.set(++this.#sessions * 4096, { clientId, nonce, last: 0, replies: new Map() });
    this.#answered(message);
  }

  #end(clientId: ClientId): void {
    for (const [session, row] of this.rows)
      if (sameClient(row.clientId, clientId)) this.rows.delete(session);
  }

  #apply(message: Request): void {
    const { clientId, session, requestNumber, acked, body } = message;
    const row = this.rows.get(session);
    if (row === undefined) {
      this.#say(this.#reply(clientId, session, requestNumber, { code: 'sessionInvalid' }));
      return;
    }
    if (requestNumber !== row.last + 1) return;
    row.last = requestNumber;
    this.history.push(tokenOf(body));
    const reply = this.#reply(clientId, session, requestNumber, { result: body.slice(0, 2) });
    row.replies.set(requestNumber, reply);
    for (const number of row.replies.keys())
      if (number <= Math.max(acked, row.last - WINDOW)) row.replies.delete(number);
    this.#say(reply);
  }

  /** The first `kept` of what was taken survive, and are executed before anybody is served. */
  changeView(kept: number): void {
    const said = this.out.length;
    this.execute(kept);
    this.out.length = said; // nobody knows where they came from
    this.#log = [];
    this.#admitted.clear();
    this.#blocked = [];
    this.abdicating = false;
    this.view++;
    this.known[this.primary] = this.view;
    if (this.dead === this.primary) this.dead = -1;
    const { view, primary: primaryId } = this;
    this.#say({ kind: 'viewStarted', epoch: 0, view, primaryId });
  }

  /** The primary takes what it had to say along. */
  crash(kept: number): void {
    this.dead = this.primary;
    this.changeView(kept);
  }

  /** CS6: all that was taken runs, its answers are lost, and of the kept ones only the newest stays. */
  dropResults(): void {
    this.execute(this.#log.length);
    this.out.length = 0;
    for (const { last, replies } of this.rows.values())
      for (const [number, reply] of replies)
        if (number < last) replies.set(number, { ...reply, code: 'replyDropped', result: NONE });
  }

  heal(): void {
    this.refuses = null;
    this.abdicating = false;
    this.known.fill(this.view);
  }
}

interface Call {
  readonly write: boolean;
  readonly replyBytes: number;
  code: ClientOutcome['code'] | null;
  /** History length that a read saw. */
  op: number;
  /** Session and number under which a request was sent. */
  sentAs: string | null;
  /** Earlier writes that this read must see, if they are ever executed. */
  follows: number[];
  /** How often it was in the history when it was settled. */
  ran: number;
}

function bodyOf(token: number, length: number): Uint8Array {
  const body = new Uint8Array(2 + length).fill(token);
  new DataView(body.buffer).setUint16(0, token);
  return body;
}

function tokenOf(body: Uint8Array): number {
  return (body[0] ?? 0) * 256 + (body[1] ?? 0);
}

/** The client with its network, and everything that must hold of what it sends and says. */
class Bench {
  readonly group = new Group();
  readonly calls: Call[] = [];
  readonly wire: { to: number; message: ClientMessage }[] = [];
  readonly client: ClientSession;
  closed = 0;
  #fresh = 0;
  #full = false;
  #room: readonly number[] = AMPLE;
  /** Highest number sent, by session. */
  readonly #highest = new Map<number, number>();

  constructor() {
    this.client = new ClientSession({
      freshClientId: () => [++this.#fresh, 7, 7, 7],
      freshNonce: () => 500 + this.#fresh,
      replicas: REPLICAS,
      actives: REPLICAS,
      timing: { retry: 10, retryMax: 20, notPrimary: 2, local: 5 },
      sessionWindow: WINDOW,
      sessionReplyBytes: REPLY_BYTES,
      readsMax: READS,
      home: 1,
      random: () => (this.calls.length * 0x9e3779b9) >>> 0,
    });
    this.step({ type: 'open' });
  }

  /** Tokens of open calls. */
  #open(write: boolean): number[] {
    return [...this.calls.keys()].filter((token) => {
      const call = this.calls[token];
      return call?.write === write && call.code === null;
    });
  }

  step(event: ClientEvent): void {
    if (event.type === 'flush') this.#room = event.room;
    let previous = { to: -1, number: 0, bytes: 0 };
    const flushed = [];
    const { primary } = this.client;
    for (const effect of this.client.step(event)) {
      if (effect.type === 'send') flushed.push(effect);
      else if (effect.type === 'settle') this.#settle(effect.token, effect.outcome);
      else if (effect.type === 'logFull') this.#onLogFull(effect.full);
      else if (effect.type === 'closed') this.closed++;
    }
    // By target: to everybody each message goes in turn.
    for (const { to, message } of flushed.sort((a, b) => a.to - b.to)) {
      must(this.closed === 0, `${message.kind} was sent after the end`);
      const number = this.#checkSent(message);
      must(to !== previous.to || number >= previous.number, `${number} was sent out of order`);
      // What does not fit waits, and one message fits wherever there is room at all (BP1).
      const bytes = 'body' in message ? message.body.length : 0;
      const room = this.#room[to] ?? 0;
      const first = to !== previous.to;
      must(room > 0 && (first || to !== primary || previous.bytes + bytes <= room), 'no room');
      previous = { to, number, bytes: first ? bytes : previous.bytes + bytes };
      this.wire.push({ to, message });
    }
    const { openRequests, openReads } = this.client;
    must(openRequests === this.#open(true).length && openRequests <= WINDOW, 'wrong window');
    must(openReads === this.#open(false).length && openReads <= READS, 'wrong number of reads');
  }

  /** @returns its place in the order of a flush. */
  #checkSent(message: ClientMessage): number {
    must(sameClient(message.clientId, this.client.clientId), 'a message of an old session');
    must(message.seenView === this.client.view, 'an old view');
    if (message.kind === 'register' || message.kind === 'unregister') return 0;
    const token = tokenOf(message.body);
    const call = this.calls[token] as Call;
    must(call.code === null, `${token} was sent after its outcome`);
    if (message.kind === 'read' || message.kind === 'localRead') return Number.MAX_SAFE_INTEGER;
    const { session, requestNumber, acked } = message;
    const name = `${session}.${requestNumber}`;
    must((call.sentAs ?? name) === name, `${call.sentAs} was sent as ${name}`);
    call.sentAs = name;
    const highest = this.#highest.get(session) ?? 0;
    must(requestNumber <= highest + 1, `${name} leaves a number out`);
    this.#highest.set(session, Math.max(highest, requestNumber));
    const answered = this.#open(true).every((open) => this.#numberOf(open) > acked);
    must(answered, `${name} acknowledges ${acked}, which is open`);
    must(requestNumber <= acked + WINDOW, `${name} is beyond the window`);
    return requestNumber;
  }

  #numberOf(token: number): number {
    return Number(this.calls[token]?.sentAs?.split('.')[1] ?? Number.POSITIVE_INFINITY);
  }

  #settle(token: number, outcome: ClientOutcome): void {
    const call = this.calls[token] as Call;
    must(call.code === null, `${token} was settled twice`);
    call.code = outcome.code;
    const { history, rows } = this.group;
    call.ran = history.filter((other) => other === token).length;
    if (outcome.code === 'evicted') {
      must(!rows.has(Number(call.sentAs?.split('.')[0])), `the session of ${token} is alive`);
      return;
    }
    if (outcome.code === 'ok') {
      must(tokenOf(outcome.result) === token, `${token} got the result of another call`);
      call.op = outcome.op;
    }
    if (!call.write) return;
    must(call.ran === 1, `${token} ran ${call.ran} times`);
    must(outcome.code !== 'ok' || history[outcome.op - 1] === token, `${token} ran elsewhere`);
  }

  /** BP6: reads do not wait for what the full log may never take. */
  #onLogFull(full: boolean): void {
    this.#full = full;
    const unanswered = new Set(this.#open(true));
    if (full)
      for (const token of this.#open(false)) {
        const call = this.calls[token] as Call;
        call.follows = call.follows.filter((write) => !unanswered.has(write));
      }
  }

  write(length: number, replyBytes: number): void {
    if (!this.client.canSubmit(replyBytes)) return;
    const token = this.#call(true, replyBytes);
    this.step({ type: 'submit', token, body: bodyOf(token, length), replyBytes });
    const bytes = this.#open(true).reduce((sum, at) => sum + (this.calls[at]?.replyBytes ?? 0), 0);
    must(bytes <= REPLY_BYTES || this.client.openRequests === 1, 'beyond the bytes of replies');
  }

  read(length: number): void {
    if (!this.client.canRead()) return;
    const token = this.#call(false, 0);
    this.step({ type: 'read', token, body: bodyOf(token, length), level: null });
  }

  #call(write: boolean, replyBytes: number): number {
    const follows = [...this.calls.keys()].filter((token) => {
      const call = this.calls[token];
      return call?.write && !(this.#full && call.code === null);
    });
    const state = { code: null, op: 0, sentAs: null, ran: 0 };
    return this.calls.push({ write, replyBytes, follows, ...state }) - 1;
  }

  hear(at: number): void {
    for (const { from, message } of this.group.out.splice(at, 1))
      this.step({ type: 'message', from, message });
  }

  deliver(at: number): void {
    const { group, wire } = this;
    const frame = wire.filter(({ to }) => to !== group.dead)[at];
    if (frame === undefined) return;
    wire.splice(wire.indexOf(frame), 1);
    group.hear(frame.to, frame.message);
  }

  tick(count: number): void {
    const unread = this.wire.some(({ to }) => to === this.client.primary);
    this.step({ type: 'tick', count, ring: { written: unread ? 1 : 0, read: 0 } });
  }

  /** Nothing is lost any more: everything must end soon. */
  finish(done: () => boolean): void {
    this.group.heal();
    for (let round = 0; round < 200 && !done(); round++) this.round();
    expect(done()).toBe(true);
  }

  round(): void {
    this.step({ type: 'flush', room: AMPLE });
    for (let left = this.wire.length; left > 0; left--) this.deliver(0);
    this.group.execute(1000);
    while (this.group.out.length > 0) this.hear(0);
    this.tick(1);
  }

  /** What can be said only at the end. */
  checkHistory(): void {
    const { history } = this.group;
    expect(history).toEqual([...new Set(history)].sort((a, b) => a - b)); // once, in order (CS7)
    for (const [token, call] of this.calls.entries()) {
      expect(call.ran).toBe(call.write && history.includes(token) ? 1 : 0); // nothing runs after its outcome
      if (call.write) continue;
      for (const write of call.follows)
        if (history.includes(write)) expect(history.indexOf(write)).toBeLessThan(call.op);
    }
  }
}

type Action = (bench: Bench, a: number, b: number) => void;

function repeat(times: number, act: () => void): void {
  for (let left = times; left > 0; left--) act();
}

const CALM: Readonly<Record<string, Action>> = {
  write: (bench, a, b) => repeat(1 + (b % 3), () => bench.write(a, b % 60)),
  read: (bench, a) => bench.read(a),
  flush: (bench) => bench.step({ type: 'flush', room: AMPLE }),
  narrow: (bench, a, b) => bench.step({ type: 'flush', room: [a * 4, b * 4, (a ^ b) * 4] }),
  tick: (bench, a) => bench.tick(1 + (a % 12)),
  execute: ({ group }, a) => group.execute(1 + (a % 4)),
  deliver: (bench, a) => repeat(1 + (a % 4), () => bench.deliver(0)),
  hear: (bench, a) => repeat(1 + (a % 4), () => bench.hear(0)),
  round: (bench) => bench.round(),
};

const ROUGH: Readonly<Record<string, Action>> = {
  reorder: (bench, a, b) => {
    bench.deliver(a % (bench.wire.length + 1));
    bench.hear(b % (bench.group.out.length + 1));
  },
  double: ({ wire, group }, a, b) => {
    wire.push(...wire.slice(a % (wire.length + 1)).slice(0, 1));
    group.out.push(...group.out.slice(b % (group.out.length + 1)).slice(0, 1));
  },
  lose: ({ wire, group }, a, b) => {
    wire.splice(a % (wire.length + 1), 1);
    group.out.splice(b % (group.out.length + 1), 1);
  },
  changeView: ({ group }, a) => group.changeView(a % 4),
  crash: ({ group }, a) => group.crash(a % 4),
  learn: ({ group }, a) => {
    group.known[a % REPLICAS] = group.view;
  },
  abdicate: ({ group }) => {
    group.abdicating = true;
  },
  refuse: ({ group }, a) => {
    group.refuses = a % 3 === 0 ? 'log' : a % 3 === 1 ? 'queue' : null;
  },
  evict: ({ group }) => group.rows.clear(),
  dropResults: ({ group }) => group.dropResults(),
};

function actions(names: readonly string[], maxLength: number) {
  const step = fc.record({
    name: fc.constantFrom(...names),
    a: fc.nat({ max: 199 }),
    b: fc.nat({ max: 199 }),
  });
  return fc.array(step, { maxLength, size: 'max' });
}

const ACTIONS = { ...CALM, ...ROUGH };
const calm = Object.keys(CALM);
const rough = Object.keys(ROUGH);
const COMMON = [calm, calm, calm, calm, calm, calm, calm].flat();

function settled(bench: Bench): boolean {
  return bench.calls.every(({ code }) => code !== null) && bench.client.canSubmit(0);
}

/** A session is open, then `script` runs, then everything must end. */
function run(script: readonly { name: string; a: number; b: number }[]): Bench {
  const bench = new Bench();
  bench.finish(() => settled(bench));
  for (const { name, a, b } of script) ACTIONS[name]?.(bench, a, b);
  bench.finish(() => settled(bench));
  bench.write(1, 1);
  bench.read(1);
  bench.finish(() => settled(bench));
  bench.checkHistory();
  return bench;
}

test('CL2, CL4, CS2, RD0: each call is executed and answered once, in order, over any network and any views', () => {
  const names = [...COMMON, 'reorder', 'reorder', 'double', 'lose', 'changeView', 'learn', 'crash'];
  fc.assert(
    fc.property(actions(names, 150), (script) => {
      const bench = run(script);
      expect(bench.calls.every(({ code }) => code === 'ok')).toBe(true);
      expect(bench.group.history).toHaveLength(bench.calls.filter(({ write }) => write).length);
    }),
    { numRuns: 180 },
  );
});

test('CL1 to CL5: the same with Busy, evictions, lost results and primaries that resign: no outcome is untrue', () => {
  fc.assert(
    fc.property(actions([...COMMON, ...rough, 'dropResults', 'dropResults'], 200), (script) => {
      run(script);
    }),
    { numRuns: 220 },
  );
});

test('CS8, CS5: whenever it is closed, its session is gone at the end and it sends nothing more', () => {
  fc.assert(
    fc.property(actions([...COMMON, 'reorder', 'double', 'lose', 'changeView'], 60), (script) => {
      const bench = run(script);
      bench.step({ type: 'close' });
      for (const { name, a, b } of script)
        if (name !== 'write' && name !== 'read') ACTIONS[name]?.(bench, a, b);
      bench.finish(() => bench.closed === 1);
      bench.wire.length = 0;
      bench.group.out.length = 0;
      expect(bench.group.rows.size).toBe(0);
      bench.tick(500);
      bench.step({ type: 'flush', room: AMPLE });
      expect([bench.wire, bench.closed]).toEqual([[], 1]);
    }),
    { numRuns: 50 },
  );
});
