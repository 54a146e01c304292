// What the checksum of a record promises, on the checksum alone.

import { expect, test } from 'vitest';
import { seeded } from '../../src/simulation/seeded.js';
import { checksum } from '../../src/transport/checksum.js';

const WORDS = 100;

function record(random: () => number): Int32Array {
  return Int32Array.from({ length: WORDS }, () => random() | 0);
}

test('any change within one word is found: every bit of every word, and a thousand other values of each', () => {
  const random = seeded(1);
  const words = record(random);
  const sum = checksum(words, 0, WORDS, 77);
  for (let at = 0; at < WORDS; at++) {
    const before = words[at] as number;
    for (let bit = 0; bit < 32; bit++) {
      words[at] = before ^ (1 << bit);
      expect(checksum(words, 0, WORDS, 77)).not.toBe(sum);
    }
    for (let times = 0; times < 1000; times++) {
      const other = random() | 0;
      words[at] = other;
      if (other !== before && checksum(words, 0, WORDS, 77) === sum) expect.fail(`word ${at}`);
    }
    words[at] = before;
  }
});

test('two flipped bits of any two words are found, the same bit of both in particular', () => {
  const words = record(seeded(2));
  const sum = checksum(words, 0, WORDS, 78);
  const missed: string[] = [];
  for (let bit = 0; bit < 32; bit++)
    for (let one = 0; one < WORDS; one++)
      for (let two = one + 1; two < WORDS; two++) {
        words[one] = (words[one] as number) ^ (1 << bit);
        words[two] = (words[two] as number) ^ (1 << bit);
        if (checksum(words, 0, WORDS, 78) === sum) missed.push(`bit ${bit} of ${one} and ${two}`);
        words[one] = (words[one] as number) ^ (1 << bit);
        words[two] = (words[two] as number) ^ (1 << bit);
      }
  expect(missed).toEqual([]);
});

test.each([10, 12])(
  'any two flipped bits of %i words are found, whatever stands there',
  (count) => {
    const random = seeded(4);
    const missed: string[] = [];
    for (let times = 0; times < 4; times++) {
      const words = record(random);
      const sum = checksum(words, 0, count, 80);
      const flip = (bit: number): void => {
        words[bit >> 5] = (words[bit >> 5] as number) ^ (1 << (bit & 31));
      };
      for (let one = 0; one < count * 32; one++)
        for (let two = one + 1; two < count * 32; two++) {
          flip(one);
          flip(two);
          if (checksum(words, 0, count, 80) === sum) missed.push(`bits ${one} and ${two}`);
          flip(one);
          flip(two);
        }
    }
    expect(missed).toEqual([]);
  },
);

test('two replaced bytes anywhere are found', () => {
  const random = seeded(3);
  const words = record(random);
  const bytes = new Uint8Array(words.buffer);
  const sum = checksum(words, 0, WORDS, 79);
  let missed = 0;
  for (let times = 0; times < 300_000; times++) {
    const [one, two] = [random() % bytes.length, random() % bytes.length];
    const [first, second] = [bytes[one] as number, bytes[two] as number];
    bytes[one] = random();
    bytes[two] = random();
    const same = bytes[one] === first && bytes[two] === second;
    if (!same && checksum(words, 0, WORDS, 79) === sum) missed++;
    bytes[two] = second;
    bytes[one] = first;
  }
  expect(missed).toBe(0);
});
