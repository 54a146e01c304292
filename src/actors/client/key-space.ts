// The keys of a namespace: what users call them, what the store calls them, and what is said of those that it does not take.

import type { Refusal } from '../../service/operation-writer.js';
import { wellFormed } from '../../service/utf8.js';
import type { Key } from '../api.js';
import { VrError } from '../errors.js';
import { show } from '../option-checks.js';

/** Bytes of one entry, at most (`limits.keyBytes`, `limits.valueBytes`). */
export interface KeySpaceLimits {
  readonly keyBytes: number;
  readonly valueBytes: number;
}

export class KeySpace {
  readonly #prefix: string;
  readonly #limits: KeySpaceLimits;

  constructor(prefix: string, limits: KeySpaceLimits) {
    this.#prefix = prefix;
    this.#limits = limits;
  }

  /** @throws {VrError} VR_KEY_INVALID */
  within(prefix: string): KeySpace {
    if (typeof prefix !== 'string')
      throw keyError(`a prefix must be a string, got ${show(prefix)}`, prefix);
    if (!wellFormed(prefix))
      throw keyError(`a prefix must be well-formed Unicode, got ${show(prefix)}`, prefix);
    const whole = this.#prefix + prefix;
    const { keyBytes } = this.#limits;
    const bytes = Buffer.byteLength(whole);
    if (bytes >= keyBytes)
      throw keyError(
        `a prefix must leave room for a key: all of it at most limits.keyBytes - 1 = ${keyBytes - 1} bytes, got ${bytes}`,
        prefix,
      );
    return new KeySpace(whole, this.#limits);
  }

  /**
   * `key` with its prefix; an empty one stays empty, and so is refused, whatever its prefix.
   * @throws {VrError} VR_KEY_INVALID
   */
  whole(key: Key): Key {
    if (typeof key === 'string')
      return this.#prefix === '' || key === '' ? key : this.#prefix + key;
    if (!(key instanceof Uint8Array))
      throw keyError(`a key must be a string or bytes, got ${show(key)}`, key);
    if (this.#prefix === '' || key.length === 0) return key;
    return Buffer.concat([Buffer.from(this.#prefix, 'utf8'), key]);
  }

  get #sharedWithPrefix(): string {
    const bytes = Buffer.byteLength(this.#prefix);
    return bytes === 0 ? '' : `, of which the prefix of its namespace takes ${bytes}`;
  }

  /** Why an operation of `key` was not written. */
  refused(refusal: Refusal, key: Key): VrError {
    const { keyBytes, valueBytes } = this.#limits;
    switch (refusal) {
      case 'key-malformed':
        return keyError(`a key must be well-formed Unicode, got ${show(key)}`, key);
      case 'key-empty':
        return keyError('a key must not be empty', key);
      case 'key-too-long':
        return keyError(
          `a key must have at most limits.keyBytes = ${keyBytes} bytes${this.#sharedWithPrefix}`,
          key,
        );
      case 'value-too-long':
        return new VrError(
          'VR_VALUE_TOO_LARGE',
          `a value must have at most limits.valueBytes = ${valueBytes} bytes`,
          { details: { key, limit: 'valueBytes', valueBytes } },
        );
    }
  }
}

function keyError(message: string, key: unknown): VrError {
  return new VrError('VR_KEY_INVALID', message, { details: { key } });
}
