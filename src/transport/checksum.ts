// The checksum of a record in a ring. It is for flipped bits, not for adversaries: any change within one aligned word is found for
// certain, anything else but for about one in 2^32. The seed is the record's position, which never comes back before 2^32 bytes
// were written, so that what an earlier lap left in the ring does not pass for a record either.

/** Odd, so that nothing is lost by multiplying with them. */
const PRIME_A: number = 0x9e3779b1 | 0;
const PRIME_B: number = 0x85ebca77 | 0;
const PRIME_C: number = 0xc2b2ae3d | 0;
/** A product moves differences upwards only; the shift brings them down again, or two flipped top bits would cancel out. */
const DOWN = 15;

/**
 * Of `words[from..to)`, where both are even. Two lanes: one waits for its own products, four cost short records more than they
 * save long ones. A step of a lane takes two words: the second is spread by a product of its own, for which nothing waits, and
 * differences at its top are brought down before, or one flipped bit of each could cancel out. Unsigned indexes spare the engine
 * checks, which is a third of the time.
 */
export function checksum(words: Int32Array, from: number, to: number, seed: number): number {
  let a = seed;
  let b = (seed + PRIME_A) | 0;
  let at = from >>> 0;
  for (const end = (to - ((to - from) & 2)) >>> 0; at < end; at = (at + 4) >>> 0) {
    const next = (at + 2) >>> 0;
    const c = words[next] as number;
    const d = words[next | 1] as number;
    a = Math.imul(a ^ (words[at] as number) ^ Math.imul(c ^ (c >>> DOWN), PRIME_C), PRIME_A);
    b = Math.imul(b ^ (words[at | 1] as number) ^ Math.imul(d ^ (d >>> DOWN), PRIME_C), PRIME_B);
    a ^= a >>> DOWN;
    b ^= b >>> DOWN;
  }
  if (at < to) {
    a = Math.imul(a ^ (words[at] as number), PRIME_A);
    b = Math.imul(b ^ (words[at | 1] as number), PRIME_B);
    a ^= a >>> DOWN;
    b ^= b >>> DOWN;
  }
  // One to one in each lane as long as the other is the same.
  a = (Math.imul(a, PRIME_B) + b) | 0;
  return Math.imul(a ^ (a >>> 13), PRIME_C);
}
