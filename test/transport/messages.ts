// Arbitrary messages of every kind, and what tests do with messages.

import fc from 'fast-check';
import type { Entry, Message, MessageKind } from '../../src/protocol/message.js';
import type { Chain, ClientId, Rung } from '../../src/protocol/types.js';

const uint = fc.nat({ max: 0xffffffff });
const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const chain: fc.Arbitrary<Chain> = fc.tuple(word, word, word, word);
const clientId: fc.Arbitrary<ClientId> = fc.tuple(uint, uint, uint, uint);
const body = fc.uint8Array({ maxLength: 300 });
const code = fc.constantFrom(
  'ok' as const,
  'sessionInvalid' as const,
  'replyDropped' as const,
  'serviceError' as const,
);
const purpose = fc.constantFrom('gap' as const, 'vc' as const, 'install' as const);

const entry: fc.Arbitrary<Entry> = fc.record({
  op: whole,
  epoch: uint,
  view: uint,
  ts: whole,
  seed: uint,
  kind: fc.constant('batch' as const),
  count: uint,
  body,
  chain,
});
const entries = fc.array(entry, { maxLength: 6 });
const ladder: fc.Arbitrary<Rung[]> = fc.array(fc.record({ op: whole, chain }), { maxLength: 20 });
const header = { clusterId: whole, gen: uint, epoch: uint, view: uint, from: uint };

function of<K extends MessageKind>(
  kind: K,
  fields: {
    [F in Exclude<keyof Extract<Message, { kind: K }>, 'kind'>]: fc.Arbitrary<
      Extract<Message, { kind: K }>[F]
    >;
  },
): fc.Arbitrary<Message> {
  return fc.record({ kind: fc.constant(kind), ...fields }) as unknown as fc.Arbitrary<Message>;
}

const status = fc.constantFrom('ok' as const, 'gone' as const);
const list = fc.nat({ max: 63 });
const indices = fc.array(uint, { maxLength: 256, size: 'small' });
const transfer = { ...header, reqId: whole, cpOp: whole };

/** `bytes` of lengths that are `each` times the number of indices, up to `most` times. */
function perIndex(
  each: number,
  most: number,
): fc.Arbitrary<{ indices: number[]; bytes: Uint8Array }> {
  return fc
    .tuple(indices, fc.nat({ max: most }))
    .chain(([of, times]) =>
      fc
        .uint8Array({ minLength: of.length * times * each, maxLength: of.length * times * each })
        .map((bytes) => ({ indices: of, bytes })),
    );
}

/** Traffic of checkpoints, whose sizes must fit together. */
const CHECKPOINT_MESSAGES = {
  getCheckpoint: of('getCheckpoint', { ...header, reqId: whole, minOp: whole }),
  checkpointMeta: fc
    .array(fc.tuple(uint, fc.uint8Array({ minLength: 8, maxLength: 8 })), {
      maxLength: 64,
      size: 'small',
    })
    .chain((lists) =>
      of('checkpointMeta', {
        ...transfer,
        cpChain: chain,
        root: chain,
        pageCounts: fc.constant(lists.map(([count]) => count)),
        tops: fc.constant(Uint8Array.from(lists.flatMap(([, top]) => [...top]))),
        status: fc.constantFrom('ok' as const, 'gone' as const, 'refuse' as const),
      }),
    ),
  getNodes: of('getNodes', { ...transfer, list, level: uint, indices }),
  nodes: perIndex(8, 16).chain((known) =>
    of('nodes', {
      ...transfer,
      list,
      level: uint,
      indices: fc.constant(known.indices),
      hashes: fc.constant(known.bytes),
      status,
    }),
  ),
  getPages: of('getPages', { ...transfer, list, indices }),
  pages: perIndex(1, 100).chain((known) =>
    of('pages', {
      ...transfer,
      list,
      indices: fc.constant(known.indices),
      bytes: fc.constant(known.bytes),
      status,
    }),
  ),
  checkpointRoot: of('checkpointRoot', { ...header, cpOp: whole, root: chain }),
};

/** Bodies are never optional and arbitrary lengths put them on every alignment. */
export const MESSAGES: Readonly<Record<MessageKind, fc.Arbitrary<Message>>> = {
  prepare: of('prepare', {
    ...header,
    start: uint,
    first: whole,
    prevChain: chain,
    entries,
    commitMax: whole,
    stableOp: whole,
    hbSeq: whole,
    doubtMs: uint,
  }),
  commit: of('commit', {
    ...header,
    start: uint,
    op: whole,
    commitMax: whole,
    stableOp: whole,
    hbSeq: whole,
    doubtMs: uint,
  }),
  prepareOk: of('prepareOk', {
    ...header,
    op: whole,
    chain,
    cpOp: whole,
    cpRoot: chain,
    hbEcho: whole,
  }),
  startViewChange: of('startViewChange', {
    ...header,
    phase: fc.constantFrom('vote' as const, 'joined' as const),
  }),
  doViewChange: of('doViewChange', {
    ...header,
    start: uint,
    lastNormal: fc.record({ epoch: uint, view: uint }),
    op: whole,
    chain,
    commit: whole,
    commitMax: whole,
    stableOp: whole,
    logStart: whole,
    cpOp: whole,
    ladder,
    tail: entries,
  }),
  startView: of('startView', {
    ...header,
    nonce: uint,
    start: uint,
    op: whole,
    chain,
    viewStartOp: whole,
    commitMax: whole,
    stableOp: whole,
    logStart: whole,
    cpOp: whole,
    hbSeq: whole,
    ladder,
    tail: entries,
  }),
  requestStartView: of('requestStartView', { ...header, nonce: uint, haveOp: whole }),
  getState: of('getState', {
    ...header,
    reqId: whole,
    purpose,
    fromOp: whole,
    toOp: whole,
    prevChain: fc.option(chain),
    maxBytes: whole,
  }),
  newState: of('newState', {
    ...header,
    reqId: whole,
    purpose,
    fromOp: whole,
    prevChain: chain,
    entries,
    head: whole,
    commitMax: whole,
    logStart: whole,
    status: fc.constantFrom('ok' as const, 'mismatch' as const, 'refuse' as const, 'gone' as const),
  }),
  ...CHECKPOINT_MESSAGES,
  register: of('register', { clientId, nonce: whole, epoch: uint, seenView: uint }),
  unregister: of('unregister', { clientId, session: whole, epoch: uint, seenView: uint }),
  request: of('request', {
    clientId,
    session: whole,
    requestNumber: uint,
    acked: uint,
    epoch: uint,
    seenView: uint,
    body,
  }),
  read: of('read', {
    clientId,
    session: whole,
    afterRequest: uint,
    readId: whole,
    epoch: uint,
    seenView: uint,
    body,
  }),
  localRead: of('localRead', {
    clientId,
    session: whole,
    afterRequest: uint,
    readId: whole,
    epoch: uint,
    seenView: uint,
    tokenGen: uint,
    tokenOp: whole,
    maxStaleMs: whole,
    body,
  }),
  reply: of('reply', {
    clientId,
    session: whole,
    requestNumber: uint,
    gen: uint,
    epoch: uint,
    view: uint,
    op: whole,
    idx: uint,
    code,
    nonce: whole,
    result: body,
  }),
  readReply: of('readReply', {
    clientId,
    readId: whole,
    gen: uint,
    epoch: uint,
    view: uint,
    op: whole,
    code: fc.constantFrom('ok' as const, 'behind' as const, 'badToken' as const),
    result: body,
  }),
  notPrimary: of('notPrimary', {
    epoch: uint,
    view: uint,
    primaryId: fc.option(uint),
    status: fc.constantFrom('normal' as const, 'view-change' as const, 'recovering' as const),
  }),
  viewStarted: of('viewStarted', { epoch: uint, view: uint, primaryId: uint }),
  busy: of('busy', {
    requestNumber: uint,
    readId: whole,
    retryAfterMs: whole,
    reason: fc.constantFrom('queue' as const, 'log' as const),
  }),
  evicted: of('evicted', { clientId, session: whole }),
};

export const MESSAGE_KINDS = Object.keys(MESSAGES) as MessageKind[];
export const anyMessage: fc.Arbitrary<Message> = fc.oneof(...Object.values(MESSAGES));

/** A message as data that vitest compares by value: byte strings become plain arrays. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}

/** A copy with memory of its own; a structured clone would go on sharing a ring's. */
export function copyOf<T>(value: T): T {
  if (value instanceof Uint8Array) return Uint8Array.from(value) as T;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [name, copyOf<unknown>(field)]),
  ) as T;
}
