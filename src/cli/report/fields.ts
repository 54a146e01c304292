// A walk through parsed JSON of unknown origin: every step checks what is there and can say where it stands.

import { UsageError } from '../usage.js';

export class Field {
  readonly value: unknown;
  readonly #path: string;

  /** `path`: how errors call it. */
  constructor(value: unknown, path: string) {
    this.value = value;
    this.#path = path;
  }

  /** @throws UsageError when this is no object. */
  get(name: string): Field {
    return new Field(this.#record()[name], `${this.#path}.${name}`);
  }

  /** null where there is nothing of this name. */
  optional(name: string): Field | null {
    const field = this.get(name);
    return field.value === undefined || field.value === null ? null : field;
  }

  entries(): [string, Field][] {
    return Object.keys(this.#record()).map((name) => [name, this.get(name)]);
  }

  items(): Field[] {
    if (!Array.isArray(this.value)) throw this.wrong('a list');
    return this.value.map((item, index) => new Field(item, `${this.#path}[${index}]`));
  }

  /** Finite. */
  number(): number {
    if (typeof this.value !== 'number' || !Number.isFinite(this.value))
      throw this.wrong('a number');
    return this.value;
  }

  text(): string {
    if (typeof this.value !== 'string') throw this.wrong('a text');
    return this.value;
  }

  wrong(wanted: string): UsageError {
    const { value } = this;
    const found =
      value === undefined
        ? 'is missing'
        : `is ${Array.isArray(value) ? 'a list' : typeof value === 'object' && value !== null ? 'an object' : shortly(value)}`;
    return new UsageError(`${this.#path} ${found}, where ${wanted} is expected`);
  }

  #record(): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.wrong('an object');
    return value as Readonly<Record<string, unknown>>;
  }
}

/** Enough of a value to know it again. */
function shortly(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= VALUE_SHOWN ? text : `${text.slice(0, VALUE_SHOWN)}…`;
}
/** Characters. */
const VALUE_SHOWN = 40;
