// What simulated clients ask for, in bytes of the real key-value service, and what the answers mean for the history: each operation
// of a request by itself, an atomic request as one.

import type { LocalLevel } from '../../protocol/client-event.js';
import { ANY_AGE } from '../../protocol/message.js';
import { readInteger } from '../../service/msgpack-integer.js';
import { CHANGED, CONDITION_FAILED, COUNTED, OP_GET } from '../../service/operation.js';
import { OperationWriter } from '../../service/operation-writer.js';
import { ReadResult, WriteResult } from '../../service/result-reader.js';
import { fromUtf8, toUtf8 } from '../../service/utf8.js';
import type { Submission } from '../client-actor.js';
import type { KeyInput, KeyOutput, Operation } from '../linearizability.js';
import type { Dice } from './dice.js';

/** Reply bytes that a read may need, for the client's budget; values are short here. */
const READ_REPLY_BYTES = 4096;

interface Step {
  readonly key: string;
  readonly input: KeyInput;
}

export interface SimulatedCall extends Submission {
  readonly client: number;
  readonly steps: readonly Step[];
  readonly atomic: boolean;
  /** Places in the one order of everything that clients did and heard; `end` Infinity: never answered. */
  began: number;
  /** Of a read: the least op that its state may have. */
  floorOp: number;
  ended: number;
  outputs: readonly KeyOutput[] | null;
  /** Digest of the body, to find it again among what was executed. */
  digest: number;
  /** Of a write: its number among those of its session, from 0; of a read: the op-number that its state had. */
  number: number;
}

export interface CallsPlan {
  /** Keys with values, and as many counters. */
  readonly keys: number;
  /** Operations of one request at most. */
  readonly batch: number;
  readonly reads: number;
  /** Share of the reads that any active may answer. */
  readonly local: number;
  readonly atomic: number;
}

const writer: OperationWriter = new OperationWriter();

/** Draws requests; values are unique, so that histories can be decided quickly. */
export class CallFactory {
  readonly #plan: CallsPlan;
  readonly #dice: Dice;
  /** Of its own, so that what is asked for does not depend on who may answer. */
  readonly #levels: Dice;
  #values = 0;
  /** Values written lately: what a compare-and-set may expect. */
  readonly #recent: string[] = [];

  constructor(plan: CallsPlan, dice: Dice, levels: Dice) {
    this.#plan = plan;
    this.#dice = dice;
    this.#levels = levels;
  }

  draw(client: number): SimulatedCall {
    const { reads, batch, atomic } = this.#plan;
    const dice = this.#dice;
    const count = dice.chance(0.5) ? 1 : dice.between(1, batch);
    if (dice.chance(reads)) return read(client, this.#keys(count), this.#level());
    if (dice.chance(atomic)) return write(client, this.#together(), true);
    const steps: Step[] = [];
    for (let at = 0; at < count; at++) steps.push(this.#write());
    return write(client, steps, false);
  }

  /** A write of every counter, so that nobody can hide behind an idle log, and a read of everything. */
  closing(client: number): SimulatedCall[] {
    const counters = this.#all().filter((key) => key.startsWith('n'));
    const bump = counters.map((key): Step => ({ key, input: { type: 'incr', by: 1 } }));
    return [write(client, bump, false), read(client, this.#all(), null)];
  }

  #all(): string[] {
    const keys: string[] = [];
    for (let at = 0; at < this.#plan.keys; at++) keys.push(`k${at}`, `n${at}`);
    return keys;
  }

  #keys(count: number): string[] {
    const keys: string[] = [];
    for (let at = 0; at < count; at++) keys.push(this.#dice.pick(this.#all()));
    return keys;
  }

  /** Who may answer a read: mostly the primary. */
  #level(): LocalLevel | null {
    const dice = this.#levels;
    if (!dice.chance(this.#plan.local)) return null;
    const maxStaleMs = dice.chance(0.6) ? dice.between(5, 300) : ANY_AGE;
    return { session: dice.chance(0.7), maxStaleMs };
  }

  /** Of one key and its counter, so that the checker may still look at few keys at a time. */
  #together(): Step[] {
    const at = this.#dice.below(this.#plan.keys);
    return [
      { key: `k${at}`, input: { type: 'set', value: this.#value() } },
      { key: `n${at}`, input: { type: 'incr', by: 1 } },
      { key: `k${at}`, input: this.#dice.chance(0.3) ? { type: 'delete' } : this.#set() },
    ];
  }

  #set(): KeyInput {
    return { type: 'set', value: this.#value() };
  }

  #write(): Step {
    const dice = this.#dice;
    const at = dice.below(this.#plan.keys);
    const key = `k${at}`;
    const turn = dice.below(100);
    if (turn < 45) return { key: `n${at}`, input: { type: 'incr', by: dice.between(1, 3) } };
    if (turn < 75) return { key, input: this.#set() };
    if (turn < 90) {
      const expected = dice.chance(0.3) ? null : (dice.pick(this.#recent) ?? null);
      return { key, input: { type: 'cas', expected, value: this.#value() } };
    }
    return { key: dice.chance(0.8) ? key : `n${at}`, input: { type: 'delete' } };
  }

  #value(): string {
    const value = `v${this.#values++}`;
    this.#recent.push(value);
    if (this.#recent.length > 6) this.#recent.shift();
    return value;
  }
}

function write(client: number, steps: readonly Step[], atomic: boolean): SimulatedCall {
  writer.reset();
  for (const { key, input } of steps) {
    if (input.type === 'set') writer.set(key, toUtf8(input.value));
    else if (input.type === 'incr') writer.incr(key, input.by);
    else if (input.type === 'delete') writer.delete(key);
    else if (input.type === 'cas')
      writer.cas(
        key,
        input.expected === null ? undefined : toUtf8(input.expected),
        toUtf8(input.value),
      );
  }
  const replyBytes = writer.replyBytesMax;
  return call(client, {
    kind: 'write',
    steps,
    atomic,
    body: writer.finish(atomic).slice(),
    replyBytes,
  });
}

function read(client: number, keys: readonly string[], level: LocalLevel | null): SimulatedCall {
  writer.reset();
  for (const key of keys) writer.get(key);
  const steps = keys.map((key): Step => ({ key, input: { type: 'get' } }));
  const body = writer.finish(false).slice();
  const what = { kind: 'read', steps, atomic: false, body, replyBytes: READ_REPLY_BYTES } as const;
  return call(client, level === null ? what : { ...what, level });
}

function call(
  client: number,
  what: Pick<SimulatedCall, 'kind' | 'steps' | 'atomic' | 'body' | 'replyBytes' | 'level'>,
): SimulatedCall {
  return {
    ...what,
    client,
    session: 0,
    code: null,
    abandoned: false,
    began: 0,
    floorOp: 0,
    ended: Number.POSITIVE_INFINITY,
    outputs: null,
    digest: 0,
    number: 0,
  };
}

/** Reads the result of `call`; it may view a message that is gone after this step. */
export function understand(call: SimulatedCall, result: Uint8Array): void {
  call.outputs = call.kind === 'read' ? readOutputs(call, result) : writeOutputs(call, result);
}

function readOutputs(call: SimulatedCall, bytes: Uint8Array): KeyOutput[] {
  const result = new ReadResult(bytes, OP_GET);
  if (result.malformed || result.count !== call.steps.length)
    throw new Error(`a read of ${call.steps.length} keys got ${result.count} answers`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return call.steps.map(({ key }, at) => {
    if (!result.present(at)) return null;
    const from = result.valueAt(at);
    const to = from + result.valueBytes(at);
    return key.startsWith('n') ? String(readInteger(view, from, to)) : fromUtf8(bytes, from, to);
  });
}

function writeOutputs(call: SimulatedCall, bytes: Uint8Array): KeyOutput[] {
  const result = new WriteResult(bytes, call.atomic);
  if (result.malformed || result.count !== call.steps.length)
    throw new Error(`${call.steps.length} operations got ${result.count} results`);
  return call.steps.map(({ input }, at) => {
    const status = result.status(at);
    switch (input.type) {
      case 'incr':
        if (status !== COUNTED) throw new Error(`incr ended with ${status}`);
        return result.extra(at);
      case 'cas':
        if (status !== CHANGED && status !== CONDITION_FAILED)
          throw new Error(`cas ended with ${status}`);
        return status === CHANGED;
      case 'delete':
        return status === CHANGED;
      default:
        return null;
    }
  });
}

/** What a call means for the checker: nothing when it certainly never took effect. */
export function operationsOf(call: SimulatedCall): Operation[] {
  const { client, began, ended, steps, outputs, atomic } = call;
  if (began === 0 || (call.kind === 'read' && outputs === null)) return [];
  const interval = {
    client,
    // A local read may be of any state that was committed before it ended.
    call: call.level === undefined ? began : 0,
    end: outputs === null ? Number.POSITIVE_INFINITY : ended,
  };
  const known = steps.map((step, at) =>
    outputs === null ? step : { ...step, output: outputs[at] as KeyOutput },
  );
  return atomic
    ? [{ ...interval, steps: known }]
    : known.map((step) => ({ ...interval, steps: [step] }));
}
