// From a history to the parts of it that can be decided one by one: keys that no atomic request joins are independent
// (linearizability is local). What cannot matter is left out, and values that nothing tells apart become one.

import { isIdle, type KeyPart, keyPart, numberOf, type Value } from './register.js';
import type { KeyStep, Operation } from './types.js';

export interface Prepared {
  readonly source: Operation;
  readonly known: boolean;
  /** One for each key, never empty. */
  readonly parts: readonly KeyPart[];
}

export interface Component {
  readonly keys: readonly string[];
  readonly operations: readonly Prepared[];
}

export interface Partition {
  readonly components: readonly Component[];
  /** Their outputs have no explanation whatever the keys held. */
  readonly impossible: readonly Operation[];
  readonly facts: ReadonlyMap<string, KeyFacts>;
}

/** Which values of a key the operations on it can tell apart. */
export class KeyFacts {
  readonly #told = new Set<Value>();
  #counts = false;
  #excludes = false;
  #entangled = false;

  add(part: KeyPart, alone: boolean, known: boolean): void {
    for (const value of part.allowed ?? []) this.#told.add(value);
    for (const value of part.excluded) this.#told.add(value);
    if (part.excluded.length > 0) this.#excludes = true;
    if (part.program === null) return;
    if (known || !alone || part.program.length > 1) this.#entangled = true;
    for (const { input, output } of part.program) {
      if (input.type === 'incr') this.#counts = true;
      if (input.type === 'cas') this.#told.add(input.expected);
      if (input.type === 'cas' || input.type === 'set') this.#told.add(input.value);
      if (typeof output === 'string') this.#told.add(output);
    }
  }

  /**
   * Whether some operation behaves differently on `value` than on any other string. Operations compare what they find with the
   * values that they name and with 'absent', and `incr` asks for a number, nothing else; so all strings that are not told
   * may be renamed to one, in any order, and every step stays as legal as it was.
   */
  tells(value: Value): boolean {
    if (value === null || this.#told.has(value)) return true;
    return this.#counts && !Number.isNaN(numberOf(value));
  }

  /**
   * Whether a write of `value` with unknown outcome can be left out of any order that has it. With a value that is not told:
   * until the next write of the key, a part that names values it can find is not legal on it and therefore not there; one that
   * asks for nothing is as legal without it, and a write ends the difference; a lone `cas` of unknown outcome does nothing on it
   * and goes as well, and a lone `incr` is not defined on it. Parts that exclude values, and programs with more than that,
   * may lean on it: with those it is kept.
   */
  overlooks(value: Value | undefined): boolean {
    if (this.#excludes || this.#entangled) return false;
    return value !== undefined && !this.tells(value);
  }
}

export function partition(history: readonly Operation[]): Partition {
  const facts = new Map<string, KeyFacts>();
  const impossible: Operation[] = [];
  const prepared: Prepared[] = [];
  for (const source of history) {
    const known = source.end !== Number.POSITIVE_INFINITY;
    if (!(source.end >= source.call)) throw new RangeError('an operation ends before it is called');
    const parts = partsOf(source);
    if (parts === null) {
      if (known) impossible.push(source);
      continue;
    }
    if (!known && parts.every((part) => part.program === null && part.result === undefined))
      continue;
    if (parts.length === 0) continue;
    for (const part of parts) {
      const those = facts.get(part.key) ?? new KeyFacts();
      facts.set(part.key, those);
      those.add(part, parts.length === 1, known);
    }
    prepared.push({ source, known, parts });
  }
  const kept = prepared.filter(
    ({ known, parts }) =>
      known ||
      !parts.every(
        ({ key, result, program }) => program === null && facts.get(key)?.overlooks(result),
      ),
  );
  return { components: connect(kept), impossible, facts };
}

function partsOf({ steps }: Operation): KeyPart[] | null {
  const [first] = steps;
  if (first !== undefined && steps.length === 1) {
    const part = keyPart(first.key, steps);
    return part === null ? null : isIdle(part) ? [] : [part];
  }
  const byKey = new Map<string, KeyStep[]>();
  for (const step of steps) {
    const those = byKey.get(step.key);
    if (those === undefined) byKey.set(step.key, [step]);
    else those.push(step);
  }
  const parts: KeyPart[] = [];
  for (const [key, those] of byKey) {
    const part = keyPart(key, those);
    if (part === null) return null;
    if (!isIdle(part)) parts.push(part);
  }
  return parts;
}

/** Union-find over the keys; components in the order in which their first key comes. */
function connect(operations: readonly Prepared[]): Component[] {
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    let root = key;
    for (let up = parents.get(root); up !== undefined && up !== root; up = parents.get(root))
      root = up;
    for (let at = key; at !== root; ) {
      const up = parents.get(at) ?? root;
      parents.set(at, root);
      at = up;
    }
    return root;
  };
  for (const { parts } of operations) {
    for (const { key } of parts) if (!parents.has(key)) parents.set(key, key);
    const [first] = parts;
    if (first === undefined) continue;
    for (let n = 1; n < parts.length; n++)
      parents.set(rootOf((parts[n] as KeyPart).key), rootOf(first.key));
  }
  const components = new Map<string, { keys: string[]; operations: Prepared[] }>();
  for (const key of parents.keys()) {
    const root = rootOf(key);
    const component = components.get(root);
    if (component === undefined) components.set(root, { keys: [key], operations: [] });
    else component.keys.push(key);
  }
  for (const operation of operations) {
    const [first] = operation.parts;
    if (first !== undefined) components.get(rootOf(first.key))?.operations.push(operation);
  }
  return [...components.values()];
}
