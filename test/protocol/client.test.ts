// The client's half (protocol.md 3.13 and 3.14), clause by clause: one session, told what it hears, and what it wants to send.

import { expect, test } from 'vitest';
import type { RingPositions } from '../../src/protocol/client/reading-watch.js';
import type { ClientSessionOptions } from '../../src/protocol/client/state.js';
import { ClientSession } from '../../src/protocol/client.js';
import type { ClientEffect, ClientEvent } from '../../src/protocol/client-event.js';
import type { ClientMessage, ServerMessage } from '../../src/protocol/message.js';

const RING = 1e6;
const ROOM = [RING, RING, RING, RING];
const ALL_READ: RingPositions = { written: 0, read: 0 };
const STAMP = { gen: 0, epoch: 0 };
const RESULT = { code: 'ok', result: new Uint8Array(0) } as const;

type Of<K extends ServerMessage['kind']> = Partial<Extract<ServerMessage, { kind: K }>>;

/** Client ids [1,0,0,0], [2,0,0,0], … with nonces 501, 502, …; sessions 4096, 8192, … in the same order. */
class Desk {
  readonly client: ClientSession;
  #fresh = 0;
  #token = 0;

  constructor(options: Partial<ClientSessionOptions> = {}) {
    this.client = new ClientSession({
      freshClientId: () => [++this.#fresh, 0, 0, 0],
      freshNonce: () => 500 + this.#fresh,
      replicas: 3,
      actives: 3,
      timing: { retry: 10, retryMax: 40, notPrimary: 3, local: 5 },
      sessionWindow: 4,
      sessionReplyBytes: 1000,
      readsMax: 3,
      home: 1,
      random: () => 2 ** 31,
      ...options,
    });
  }

  step(event: ClientEvent): ClientEffect[] {
    return [...this.client.step(event)];
  }

  open(): this {
    this.step({ type: 'open' });
    this.flush();
    this.hear(this.registered());
    return this;
  }

  /** A request with its own body of `length` bytes; tokens are 1, 2, 3, …, those of reads too. */
  write(length = 1, replyBytes = 1): void {
    const token = ++this.#token;
    this.step({ type: 'submit', token, body: new Uint8Array(length).fill(token), replyBytes });
  }

  writes(count: number, replyBytes = 1): void {
    for (let left = count; left > 0; left--) this.write(1, replyBytes);
  }

  reads(count: number): void {
    for (let left = count; left > 0; left--) this.read();
  }

  read(length = 1): void {
    const token = ++this.#token;
    this.step({ type: 'read', token, body: new Uint8Array(length).fill(token), level: null });
  }

  /** What a flush sends, in order. */
  flush(room?: readonly number[]): string {
    return this.sends(room)
      .map(({ to, message }) => `${shown(message)}>${to}`)
      .join(' ');
  }

  sends(room: readonly number[] = ROOM): { to: number; message: ClientMessage }[] {
    const effects = this.step({ type: 'flush', room });
    return effects.flatMap((effect) => (effect.type === 'send' ? [effect] : []));
  }

  tick(count = 1, ring: RingPositions = ALL_READ): ClientEffect[] {
    return this.step({ type: 'tick', count, ring });
  }

  /** Effects, shortly, of hearing `message` from the supposed primary or from `from`. */
  hear(message: ServerMessage, from = this.client.primary): string {
    return this.step({ type: 'message', from, message }).map(told).join(' ');
  }

  get #session(): { clientId: ClientSession['clientId']; session: number } {
    return { clientId: this.client.clientId, session: this.client.session };
  }

  registered(more: Of<'reply'> = {}): ServerMessage {
    return this.reply(0, { session: this.#fresh * 4096, nonce: 500 + this.#fresh, ...more });
  }

  reply(requestNumber: number, more: Of<'reply'> = {}): ServerMessage {
    const place = { ...STAMP, view: 0, op: 1, idx: 0, nonce: 0 };
    return { kind: 'reply', ...this.#session, requestNumber, ...place, ...RESULT, ...more };
  }

  readReply(readId: number, more: Of<'readReply'> = {}): ServerMessage {
    const { clientId } = this.client;
    return { kind: 'readReply', clientId, readId, ...STAMP, view: 0, op: 1, ...RESULT, ...more };
  }

  evicted(more: Of<'evicted'> = {}): ServerMessage {
    return { kind: 'evicted', ...this.#session, ...more };
  }
}

function shown(message: ClientMessage): string {
  if (message.kind === 'register') return `register${message.nonce}`;
  if (message.kind === 'unregister') return `unregister${message.session}`;
  if (message.kind === 'request') return `w${message.requestNumber}`;
  return `r${message.readId}after${message.afterRequest}`;
}

function told(effect: ClientEffect): string {
  if (effect.type === 'settle') return `${effect.token}:${effect.outcome.code}`;
  if (effect.type === 'resent') return `resent${effect.requests}`;
  if (effect.type === 'view') return `view${effect.view}`;
  if (effect.type === 'logFull') return effect.full ? 'full' : 'room';
  return effect.type;
}

function viewStarted(view: number): ServerMessage {
  return { kind: 'viewStarted', epoch: 0, view, primaryId: view % 3 };
}

function notPrimary(view: number, primaryId: number | null): ServerMessage {
  return { kind: 'notPrimary', epoch: 0, view, primaryId, status: 'normal' };
}

function busy(requestNumber: number, reason: 'queue' | 'log' = 'queue', retryAfterMs = 20) {
  return { kind: 'busy', requestNumber, readId: 0, retryAfterMs, reason } as const;
}

/** With a session, in which `count` requests were sent. */
function writing(count: number, options?: Partial<ClientSessionOptions>): Desk {
  const desk = new Desk(options).open();
  desk.writes(count);
  desk.flush();
  return desk;
}

/** A session is being opened; Register was sent. */
function registering(): Desk {
  const desk = new Desk();
  desk.step({ type: 'open' });
  desk.flush();
  return desk;
}

/** Ticks until something is sent again, one at a time. */
function ticksUntilSent(desk: Desk, ring: RingPositions = ALL_READ): number {
  for (let ticks = 1; ticks < 1000; ticks++) {
    desk.tick(1, ring);
    if (desk.flush().length > 0) return ticks;
  }
  throw new Error('nothing was ever sent');
}

// ── registration ──

test('CS5: nothing is sent before it is opened, and then only Register, with the same nonce each time', () => {
  const desk = new Desk();
  expect([desk.client.wantsFlush, desk.flush()]).toEqual([false, '']);
  desk.step({ type: 'open' });
  expect([desk.client.canSubmit(0), desk.client.canRead()]).toEqual([false, false]);
  expect([desk.flush(), desk.flush()]).toEqual(['register501>0', '']);
  desk.tick(10);
  expect(desk.flush()).toBe('register501>0');
});

test('CS5: a session is adopted from the reply with its nonce, not from any other, and once', () => {
  const desk = registering();
  expect(desk.hear(desk.registered({ nonce: 500 }))).toBe('');
  expect(desk.hear(desk.evicted({ session: 0 }))).toBe('');
  expect(desk.hear(desk.registered({ clientId: [1, 0, 0, 1] }))).toBe('');
  expect(desk.hear(desk.registered({ nonce: 0 }))).toBe('');
  expect(desk.hear(desk.registered())).toBe('opened');
  expect(desk.hear(desk.registered({ session: 9999 }))).toBe('');
  expect([desk.client.session, desk.client.canSubmit(0)]).toEqual([4096, true]);
});

test('CS5, CL2: a registration follows the view, is repeated, and from the second time on asks everybody', () => {
  const desk = registering();
  desk.hear(notPrimary(1, 1));
  expect(desk.flush()).toBe('register501>1');
  desk.hear(viewStarted(1));
  expect(desk.flush()).toBe('register501>1');
  desk.tick(40);
  expect(desk.flush()).toBe('register501>1');
  desk.tick(40);
  expect(desk.flush()).toBe('register501>1 register501>0 register501>2');
});

// ── requests ──

test('CS2: numbers count from 1, and acked is what lies below the lowest unanswered one', () => {
  const desk = new Desk().open();
  const acked = (): string =>
    desk.sends().reduce((all, { message }) => {
      return message.kind === 'request' ? `${all} ${shown(message)}:${message.acked}` : all;
    }, '');
  desk.writes(4);
  expect(acked()).toBe(' w1:0 w2:0 w3:0 w4:0');
  for (const number of [2, 1, 4]) desk.hear(desk.reply(number));
  desk.write();
  expect(acked()).toBe(' w5:2');
  desk.hear(viewStarted(1));
  expect(acked()).toBe(' w3:2 w5:2');
});

test('CS6: bytes of replies come back with every answer, and one request of any size goes alone', () => {
  const desk = new Desk().open();
  desk.write(1, 700);
  expect(desk.client.canSubmit(301)).toBe(false);
  desk.write(1, 300);
  desk.hear(desk.reply(2));
  expect([desk.client.canSubmit(300), desk.client.canSubmit(301)]).toEqual([true, false]);
  desk.hear(desk.reply(1, { code: 'replyDropped' }));
  expect(desk.client.canSubmit(9999)).toBe(true);
});

test('CS6, CL3: an eviction gives back the bytes and the window of what it ended', () => {
  const desk = new Desk().open();
  desk.writes(4, 250);
  desk.hear(desk.evicted());
  desk.hear(desk.registered());
  desk.writes(4, 250);
  expect(desk.flush()).toBe('w1>0 w2>0 w3>0 w4>0');
});

// ── reads ──

test('RD0: a read names the highest number submitted before it, and goes out behind that request', () => {
  const desk = new Desk().open();
  desk.read();
  desk.write();
  desk.write();
  desk.read();
  desk.write();
  expect(desk.flush()).toBe('w1>0 w2>0 w3>0 r1after0>0 r2after2>0');
  desk.hear(viewStarted(1));
  for (const number of [1, 2, 3]) desk.hear(desk.reply(number));
  expect(desk.flush()).toBe('r1after0>1 r2after2>1'); // what is answered changes nothing
});

test('RD0, BP1: while a request waits for room, no read passes it', () => {
  const desk = new Desk().open();
  desk.write(100);
  desk.write(100);
  desk.read();
  expect(desk.flush([200, RING, RING])).toBe('w1>0');
  expect(desk.flush([0, RING, RING])).toBe('');
  expect(desk.client.wantsFlush).toBe(true);
  expect(desk.flush([400, RING, RING])).toBe('w2>0 r1after2>0');
  expect(desk.client.wantsFlush).toBe(false);
});

test('RD0, CL3: a read outlives an eviction: same id, the new session, and no number of the old one', () => {
  const desk = new Desk().open();
  desk.write();
  desk.read();
  desk.flush();
  const late = desk.readReply(1);
  expect(desk.hear(desk.evicted())).toBe('1:evicted');
  expect(desk.hear(late)).toBe(''); // it answers the old client id
  expect(desk.flush()).toBe('register502>0');
  desk.hear(desk.registered());
  desk.write();
  expect(desk.sends().map(({ message }) => message)).toMatchObject([
    { kind: 'request', session: 8192, requestNumber: 1, acked: 0 },
    { kind: 'read', session: 8192, readId: 1, afterRequest: 0, clientId: [2, 0, 0, 0] },
  ]);
  expect(desk.hear(desk.readReply(1))).toBe('2:ok');
});

test('RD0, BP6: reads follow only answered writes while the log is full, and all of them again later', () => {
  const desk = new Desk().open();
  desk.write();
  desk.hear(desk.reply(1));
  desk.write();
  desk.read();
  desk.flush();
  expect(desk.hear(busy(2, 'log'))).toBe('resent1 full');
  desk.read();
  desk.tick(2);
  expect(desk.flush()).toBe('w2>0 r1after1>0 r2after1>0');
  expect(desk.hear(desk.reply(2))).toBe('room 2:ok');
  desk.write();
  desk.read();
  expect(desk.flush()).toBe('w3>0 r3after3>0');
});

test('CL4: a read is settled by its id and client, in any order, once; and at most readsMax are open', () => {
  const desk = new Desk().open();
  desk.reads(3);
  expect(desk.client.canRead()).toBe(false);
  expect(() => desk.read()).toThrow(/limit/);
  expect(desk.hear(desk.readReply(2, { clientId: [9, 0, 0, 0] }))).toBe('');
  expect(desk.hear(desk.readReply(4))).toBe('');
  expect(desk.hear(desk.readReply(2))).toBe('2:ok'); // resent elsewhere before this flush
  expect(desk.hear(desk.readReply(2))).toBe('');
  expect(desk.flush()).toBe('r1after0>0 r3after0>0');
  expect([desk.client.canRead(), desk.client.wantsFlush]).toEqual([true, false]);
});

// ── views ──

test('CL1: any sign of a higher view moves it there, and no lower one moves it back', () => {
  const desk = new Desk().open();
  desk.write();
  const replied = desk.reply(9, { view: 1 });
  const read = desk.readReply(9, { view: 2 });
  const signs = [replied, read, notPrimary(3, 0), notPrimary(4, null), viewStarted(5)];
  for (const [at, sign] of signs.entries()) {
    expect(desk.hear(sign, 2)).toBe(`view${at + 1} resent1`);
    expect(desk.flush()).toBe(`w1>${(at + 1) % 3}`);
  }
  for (const message of [replied, notPrimary(4, 1), notPrimary(4, null), viewStarted(4)])
    expect([desk.hear(message), desk.flush(), desk.client.view]).toEqual(['', '', 5]);
  expect(desk.hear(desk.reply(1, { view: 3 }), 0)).toBe('1:ok'); // late, and true all the same
});

test('CL1: every message says the highest view that was seen', () => {
  const desk = new Desk().open();
  const seen = (): number[] => desk.sends().map(({ message }) => message.seenView);
  desk.write();
  desk.read();
  desk.hear(viewStarted(4));
  expect(seen()).toEqual([4, 4]);
  desk.hear(desk.evicted());
  expect(seen()).toEqual([4]);
  desk.hear(desk.registered());
  desk.hear(desk.readReply(1));
  desk.step({ type: 'close' });
  expect(seen()).toEqual([4]);
});

test('CL2: ViewStarted resends once per view, also after another sign of it, and for the view it began in', () => {
  const desk = writing(1);
  const all = [viewStarted(0), viewStarted(0), notPrimary(1, 1), viewStarted(1), viewStarted(1)];
  const sent = all.map((message) => {
    desk.hear(message, 1);
    return desk.flush();
  });
  expect(sent).toEqual(['w1>0', '', 'w1>1', 'w1>1', '']);
});

test('CL2: resent are all that are open, in order, with the same numbers and bytes, and the reads', () => {
  const desk = new Desk().open();
  for (let length = 1; length <= 3; length++) desk.write(length);
  desk.read();
  const bytes = (): string =>
    desk.sends().reduce((all, { message }) => {
      return `${all} ${shown(message)}:${'body' in message && message.body.join('')}`;
    }, '');
  expect(bytes()).toBe(' w1:1 w2:22 w3:333 r1after3:4');
  desk.hear(desk.reply(2));
  for (const cause of [viewStarted(1), notPrimary(2, null), busy(1)]) {
    desk.hear(cause);
    desk.tick(2);
    expect(bytes()).toBe(' w1:1 w3:333 r1after3:4');
  }
  desk.tick(12);
  expect(bytes()).toBe(' w1:1 w3:333 r1after3:4');
});

test('CL2: where the supposed primary is not ready, it pauses; a backup that says where to go is no news', () => {
  const desk = writing(1);
  expect(desk.hear(notPrimary(0, 0), 1)).toBe('');
  expect(desk.hear(notPrimary(0, null), 2)).toBe(''); // a backup that recovers
  expect(desk.hear(notPrimary(0, null), 0)).toBe('resent1');
  desk.tick(2);
  expect([desk.client.wantsFlush, desk.flush()]).toEqual([false, '']);
  desk.tick(1);
  expect([desk.client.wantsFlush, desk.flush()]).toEqual([true, 'w1>0']);
  desk.hear(notPrimary(0, null), 0);
  desk.hear(viewStarted(1)); // a later view ends the pause
  expect(desk.flush()).toBe('w1>1');
});

// ── silence ──

test('CL2: the timeout doubles up to its limit, and an answer begins anew', () => {
  const desk = writing(2);
  expect([1, 2, 3, 4].map(() => ticksUntilSent(desk))).toEqual([10, 20, 40, 40]);
  desk.hear(desk.reply(1));
  expect([1, 2].map(() => ticksUntilSent(desk))).toEqual([10, 20]);
});

test('CL2: the jitter is a fifth of the timeout, up or down', () => {
  const ticks = [0, 2 ** 31, 2 ** 32 - 1].map((random) =>
    ticksUntilSent(writing(1, { random: () => random })),
  );
  expect(ticks).toEqual([8, 10, 12]);
});

test('CL2: requests, reads and the end of a session time out, counted from when they began; without anything open nothing does', () => {
  const desk = new Desk().open();
  desk.tick(500);
  expect([desk.client.wantsFlush, desk.flush()]).toEqual([false, '']);
  desk.write();
  desk.flush();
  expect(ticksUntilSent(desk)).toBe(10);
  desk.hear(desk.reply(1));
  desk.tick(500);
  desk.read();
  desk.flush();
  expect(ticksUntilSent(desk)).toBe(10);
  desk.hear(desk.readReply(1));
  desk.tick(500);
  desk.step({ type: 'close' });
  desk.flush();
  expect([1, 2].map(() => ticksUntilSent(desk))).toEqual([10, 20]);
});

test('CL2: a second attempt asks every member, in order, as far as each has room; the next cause only the primary', () => {
  const desk = new Desk({ replicas: 4 }).open();
  desk.writes(2);
  desk.read();
  desk.flush();
  for (const _attempt of [1, 2]) ticksUntilSent(desk);
  desk.tick(40);
  expect(desk.flush([100, 0, RING, RING])).toBe('w1>0 w1>2 w1>3');
  expect(desk.flush([RING, 0, 0, RING])).toBe('w2>0 w2>3 r1after2>0 r1after2>3'); // the rest of it
  desk.hear(viewStarted(1));
  expect(desk.flush()).toBe('w1>1 w2>1 r1after2>1');
});

test('CL2, BP1: an attempt that finds little room asks everybody all the same, piece by piece', () => {
  const desk = writing(2);
  for (const _attempt of [1, 2]) ticksUntilSent(desk);
  desk.tick(40);
  expect(desk.flush([100, RING, RING])).toBe('w1>0 w1>1 w1>2');
  expect(desk.flush([100, RING, RING])).toBe('w2>0 w2>1 w2>2');
  expect(desk.client.wantsFlush).toBe(false);
});

test('CL2: a primary that reads slowly is not asked again before it has read, one that never reads is', () => {
  const desk = writing(1);
  for (let tick = 1; tick <= 300; tick++) {
    desk.tick(1, { written: 1000, read: Math.floor(tick / 30) });
    expect(desk.flush()).toBe('');
  }
  expect(ticksUntilSent(desk, { written: 1000, read: 10 })).toBeGreaterThanOrEqual(40); // as long as the longest timeout
});

// ── Busy, eviction, results ──

test('CL3: Busy waits as long as it says, in whole ticks and at least one', () => {
  const ticks = [0, 10, 11, 55].map((milliseconds) => {
    const desk = writing(1);
    expect(desk.hear(busy(1, 'queue', milliseconds))).toBe('resent1');
    return ticksUntilSent(desk);
  });
  expect(ticks).toEqual([1, 1, 2, 6]);
});

test('CL3: Busy is no attempt, however often it is said', () => {
  const desk = writing(1);
  for (let time = 0; time < 20; time++) {
    desk.hear(busy(1));
    desk.tick(2);
    expect(desk.flush()).toBe('w1>0');
  }
  expect([1, 2].map(() => ticksUntilSent(desk))).toEqual([8, 20]); // counted from when it was said
});

test('CL3, CS7: after Busy, what followed the refused request is resent behind it', () => {
  const desk = writing(3);
  desk.hear(desk.reply(1));
  for (const number of [2, 3]) desk.hear(busy(number));
  desk.write();
  expect(desk.flush()).toBe('');
  desk.tick(2);
  expect(desk.flush()).toBe('w2>0 w3>0 w4>0');
});

test('BP6: a full log is told once, and is over with the next reply', () => {
  const desk = writing(3);
  expect(desk.hear(busy(2, 'log'))).toBe('resent3 full');
  expect(desk.hear(busy(3, 'log'))).toBe('resent3');
  expect(desk.hear(desk.reply(1))).toBe('room 1:ok');
  expect(desk.hear(desk.reply(2))).toBe('2:ok');
});

test('CL3, CS3: Evicted settles everything that is open, in order, and begins anew under another id', () => {
  const desk = writing(4);
  for (const more of [{ clientId: [2, 0, 0, 0] as const }, { session: 1 }, { session: 0 }])
    expect(desk.hear(desk.evicted(more))).toBe(''); // somebody else's
  desk.hear(desk.reply(2));
  const again = desk.evicted();
  expect(desk.hear(again)).toBe('1:evicted 3:evicted 4:evicted');
  expect(desk.hear(again)).toBe('');
  expect([desk.client.openRequests, desk.client.canSubmit(1)]).toEqual([0, false]);
  expect(desk.flush()).toBe('register502>0');
  expect(desk.hear(desk.registered())).toBe('opened');
  desk.write();
  expect(desk.hear(again)).toBe('');
  expect(desk.hear(desk.reply(1, { clientId: [1, 0, 0, 0], session: 4096 }))).toBe('');
  expect(desk.hear(desk.reply(1))).toBe('5:ok');
});

test('CS3, CL4: sessionInvalid is an eviction when it answers what is open, and nothing otherwise', () => {
  const desk = new Desk().open();
  desk.writes(2);
  expect(desk.hear(desk.reply(3, { code: 'sessionInvalid' }))).toBe('');
  expect(desk.hear(desk.reply(2, { code: 'sessionInvalid' }))).toBe('1:evicted 2:evicted');
  expect(desk.client.clientId).toEqual([2, 0, 0, 0]);
});

test('CL3, CL4: an answer brings result and op; replyDropped says so; each settles once', () => {
  const desk = new Desk().open();
  desk.writes(2);
  const dropped = desk.reply(1, { code: 'replyDropped' });
  const result = Uint8Array.of(7);
  const answered = desk.reply(2, { op: 42, result });
  expect(desk.step({ type: 'message', from: 0, message: answered })).toContainEqual({
    type: 'settle',
    token: 2,
    outcome: { code: 'ok', result, op: 42 },
  });
  expect([desk.hear(dropped), desk.hear(dropped)]).toEqual(['1:replyDropped', '']);
});

test('CL4: a late reply whose slot in the window has a new request settles nothing, nor does another session', () => {
  const desk = new Desk().open();
  desk.writes(4);
  for (const number of [1, 2, 3, 4]) desk.hear(desk.reply(number));
  desk.write();
  expect(desk.hear(desk.reply(1))).toBe('');
  expect(desk.hear(desk.reply(5, { session: 8192 }))).toBe('');
  expect(desk.hear(desk.reply(5))).toBe('5:ok');
});

// ── room ──

test('BP1: what fits goes, a message larger than the room goes alone, and nothing without room', () => {
  const desk = new Desk().open();
  desk.write(1000);
  desk.write(10);
  desk.write(10);
  desk.write(1000);
  expect(desk.flush([0, RING, RING])).toBe('');
  expect(desk.flush([300, RING, RING])).toBe('w1>0');
  expect(desk.flush([300, RING, RING])).toBe('w2>0 w3>0');
  expect(desk.flush([300, RING, RING])).toBe('w4>0');
});

test('BP1: what was answered meanwhile is not written again', () => {
  const desk = writing(3);
  desk.hear(viewStarted(1));
  desk.hear(desk.reply(1));
  desk.hear(desk.reply(2));
  expect(desk.flush()).toBe('w3>1');
  desk.hear(viewStarted(2));
  desk.hear(desk.reply(3));
  expect([desk.client.wantsFlush, desk.flush()]).toEqual([false, '']);
});

// ── the end ──

test('CS8: the end is Unregister, repeated until it is answered, and then silence', () => {
  const desk = new Desk().open();
  desk.step({ type: 'close' });
  expect([desk.client.canSubmit(0), desk.client.canRead()]).toEqual([false, false]);
  expect(desk.flush()).toBe('unregister4096>0');
  desk.hear(notPrimary(1, 1));
  expect(desk.flush()).toBe('unregister4096>1');
  expect(desk.hear(desk.reply(0, { nonce: 501 }))).toBe(''); // a late answer to Register
  expect(desk.hear(desk.reply(0))).toBe('closed');
  expect(desk.hear(desk.reply(0))).toBe('');
  expect([desk.step({ type: 'close' }), desk.tick(500), desk.flush()]).toEqual([[], [], '']);
});

test('CS8: one that never opened just ends, and one that registers ends whichever session it gets', () => {
  const idle = new Desk();
  expect(idle.step({ type: 'close' })).toEqual([{ type: 'closed' }]);
  expect(idle.flush()).toBe('');
  const desk = registering();
  desk.step({ type: 'close' });
  expect(desk.hear(desk.registered())).toBe('');
  expect(desk.flush()).toBe('unregister0>0');
  expect(desk.hear(desk.reply(0))).toBe('closed');
});

test('CS8: it ends only when nothing is open, and a session that is gone already is as good as ended', () => {
  const desk = writing(1);
  expect(() => desk.step({ type: 'close' })).toThrow(/open/);
  desk.hear(desk.reply(1));
  desk.step({ type: 'close' });
  desk.flush();
  expect(desk.hear(desk.evicted({ session: 1 }))).toBe('');
  expect(desk.hear(desk.evicted())).toBe('closed');
  expect(desk.hear(desk.evicted())).toBe('');
});
