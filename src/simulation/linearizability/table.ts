// A component in numbers, for the search: keys, values, operations and groups of interchangeable unknown operations by index,
// and the calls and returns in the order of time.

import type { Component, KeyFacts, Prepared } from './partition.js';
import { applyStep, type KeyPart, numberOf, type Value } from './register.js';
import type { KeyStep } from './types.js';

/** Where a value's index is expected: leaves what it found; or, not legal. */
export const SAME = -1;
export const ILLEGAL = -2;

/** `KeyPart` in numbers. */
export interface Leg {
  readonly key: number;
  readonly allowed: readonly number[] | null;
  readonly excluded: readonly number[];
  /** SAME: leaves what it found. */
  readonly result: number;
  readonly program: readonly KeyStep[] | null;
  /** The one value it must find, or -1. */
  readonly observes: number;
  /** Values that it may leave and did not find. */
  readonly makes: readonly number[];
  /** May leave any number. */
  readonly counts: boolean;
}

export interface Move {
  readonly source: Prepared;
  readonly legs: readonly Leg[];
  /** Changes nothing where it is legal. */
  readonly passive: boolean;
  /** Of a known operation: its place among those open at the same time. */
  slot: number;
  /** Of one with unknown outcome: its group, or -1. */
  group: number;
}

/**
 * Operations of unknown outcome with the same effect. Once called they stay open for ever, so any of them that has been called
 * is as good as any other: how many are left is all that matters.
 */
export interface Group {
  readonly move: Move;
  readonly key: number;
  /**
   * write: leaves `value` whatever it finds. swap: leaves `value` if it finds `expected`. add: adds `by`. free: anything else,
   * and any that stands beside operations whose effect depends on what they find in ways their outputs do not show.
   */
  readonly kind: 'write' | 'swap' | 'add' | 'free';
  readonly expected: number;
  readonly value: number;
  readonly by: number;
}

export class Table {
  readonly keys: readonly string[];
  readonly moves: Move[] = [];
  readonly groups: Group[] = [];
  /** Of moves, in order of time: index * 2 for a call, + 1 for a return; unknown ones only have a call. */
  readonly events: Int32Array;
  readonly slots: number;
  /** How many values there are before the search makes more. */
  readonly valuesAtStart: number;
  readonly values: Value[] = [];
  /** NaN: not a number. */
  readonly numbers: number[] = [];
  readonly initial: number[];
  readonly #ids: Map<Value, number>[];
  readonly #facts: KeyFacts[];

  constructor(
    component: Component,
    facts: ReadonlyMap<string, KeyFacts>,
    initial: ReadonlyMap<string, string>,
  ) {
    this.keys = component.keys;
    this.#ids = this.keys.map(() => new Map());
    this.#facts = this.keys.map((key) => facts.get(key) as KeyFacts);
    this.initial = this.keys.map((key, index) => this.intern(index, initial.get(key) ?? null));
    const indexes = new Map(this.keys.map((key, index) => [key, index]));
    const legOf = (part: KeyPart) => this.#leg(part, indexes.get(part.key) as number);
    for (const source of component.operations) {
      const legs = source.parts.map(legOf);
      const passive = legs.every(isPassive);
      this.moves.push({ source, legs, passive, slot: -1, group: -1 });
    }
    this.#group();
    this.events = eventsOf(this.moves);
    this.slots = assignSlots(this.moves, this.events);
    this.valuesAtStart = this.values.length;
  }

  /** The same index for all strings of a key that nothing tells apart. */
  intern(key: number, value: Value): number {
    const ids = this.#ids[key] as Map<Value | undefined, number>;
    const name = (this.#facts[key] as KeyFacts).tells(value) ? value : undefined;
    const known = ids.get(name);
    if (known !== undefined) return known;
    const id = this.values.length;
    ids.set(name, id);
    this.values.push(value);
    this.numbers.push(numberOf(value));
    return id;
  }

  /** What `leg` leaves where it finds `value`; ILLEGAL if it cannot find that. */
  outcome(leg: Leg, value: number): number {
    if (leg.program !== null) {
      let current: Value | undefined = this.values[value] as Value;
      for (const step of leg.program) {
        current = applyStep(step, current);
        if (current === undefined) return ILLEGAL;
      }
      return this.intern(leg.key, current);
    }
    if (leg.allowed !== null ? !leg.allowed.includes(value) : leg.excluded.includes(value))
      return ILLEGAL;
    return leg.result === SAME ? value : leg.result;
  }

  #leg(part: KeyPart, key: number): Leg {
    const ids = (values: readonly Value[]) => values.map((value) => this.intern(key, value));
    const allowed = part.allowed === null ? null : ids(part.allowed);
    const result = part.result === undefined ? SAME : this.intern(key, part.result);
    const observes = allowed?.length === 1 ? (allowed[0] as number) : -1;
    const makes: number[] = result === SAME || result === observes ? [] : [result];
    let counts = false;
    for (const { input } of part.program ?? []) {
      if (input.type === 'incr') counts = true;
      else if (input.type === 'delete') makes.push(this.intern(key, null));
      else if (input.type !== 'get') makes.push(this.intern(key, input.value));
    }
    const excluded = ids(part.excluded);
    return { key, allowed, excluded, result, program: part.program, observes, makes, counts };
  }

  #group(): void {
    // Beside such a part the argument for when an unknown operation is needed (chains.ts) does not hold.
    const entangled = new Set<number>();
    for (const { source, legs } of this.moves)
      for (const { key, program } of legs)
        if (program !== null && (source.known || legs.length > 1 || program.length > 1))
          entangled.add(key);
    const names = new Map<string, number>();
    for (const move of this.moves) {
      if (move.source.known) continue;
      const group = describe(move, entangled, (key, value) => this.intern(key, value));
      const { kind, key, expected, value, by } = group;
      const name = JSON.stringify(
        kind === 'free' ? [kind, move.source.parts] : [kind, key, expected, value, by],
      );
      const known = names.get(name);
      move.group = known ?? this.groups.length;
      if (known !== undefined) continue;
      names.set(name, move.group);
      this.groups.push(group);
    }
  }
}

function isPassive({ allowed, result, program }: Leg): boolean {
  if (program !== null) return false;
  return result === SAME || (allowed?.length === 1 && allowed[0] === result);
}

function describe(
  move: Move,
  entangled: ReadonlySet<number>,
  intern: (key: number, value: Value) => number,
): Group {
  const [leg] = move.legs;
  const free: Group = { move, key: -1, kind: 'free', expected: -1, value: -1, by: 0 };
  if (leg === undefined || move.legs.length > 1 || entangled.has(leg.key)) return free;
  const { key } = leg;
  if (leg.program === null) {
    if (leg.result === SAME || leg.excluded.length > 0) return free;
    if (leg.allowed === null) return { ...free, key, kind: 'write', value: leg.result };
    if (leg.observes < 0) return free;
    return { ...free, key, kind: 'swap', expected: leg.observes, value: leg.result };
  }
  const input = leg.program[0]?.input;
  if (input?.type === 'incr') return { ...free, key, kind: 'add', by: input.by };
  if (input?.type !== 'cas') return free;
  const expected = intern(key, input.expected);
  return { ...free, key, kind: 'swap', expected, value: intern(key, input.value) };
}

/** A call at the same time as a return comes first: the two operations may have overlapped. */
function eventsOf(moves: readonly Move[]): Int32Array {
  const time = new Float64Array(moves.length * 2);
  const calls: number[] = [];
  const returns: number[] = [];
  for (const [index, { source }] of moves.entries()) {
    time[index * 2] = source.source.call;
    time[index * 2 + 1] = source.source.end;
    calls.push(index * 2);
    if (source.known) returns.push(index * 2 + 1);
  }
  const earlier = (a: number, b: number) => (time[a] as number) - (time[b] as number);
  calls.sort(earlier);
  returns.sort(earlier);
  const events = new Int32Array(calls.length + returns.length);
  let [at, call] = [0, 0];
  for (const ending of returns) {
    for (; call < calls.length; call++) {
      const calling = calls[call] as number;
      if ((time[calling] as number) > (time[ending] as number)) break;
      events[at++] = calling;
    }
    events[at++] = ending;
  }
  for (; call < calls.length; call++) events[at++] = calls[call] as number;
  return events;
}

function assignSlots(moves: readonly Move[], events: Int32Array): number {
  const idle: number[] = [];
  let slots = 0;
  for (const event of events) {
    const move = moves[event >> 1] as Move;
    if (!move.source.known) continue;
    if ((event & 1) === 1) idle.push(move.slot);
    else move.slot = idle.pop() ?? slots++;
  }
  return slots;
}
