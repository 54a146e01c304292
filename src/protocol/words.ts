// Whole numbers that travel as two words of 32 bits.

const WORD = 2 ** 32;

/**
 * `high` and `low` are unsigned. A sum of products is a double to the engine even where it is small: it would be an object of its own
 * in every field that it is put into, and each comparison with it one of doubles. So small ones are never multiplied.
 */
export function joinWords(high: number, low: number): number {
  return high === 0 ? low : high * WORD + low;
}

/** `value`, and no double where it is small. An array that holds one double makes doubles of all its numbers. */
export function asSmall(value: number): number {
  const small = value | 0;
  return small === value ? small : value;
}

/** Of a whole number from 0 to 2^53 - 1. */
export function highWord(value: number): number {
  return Math.floor(value / WORD);
}
