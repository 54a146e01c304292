// Copies and hashes of plain data: records, arrays, maps, bytes, numbers and words, nothing that refers to itself.

/** A deep copy; entries are immutable and shared. */
export function cloneValue(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Uint8Array || value instanceof Uint32Array) return value.slice();
  if (Array.isArray(value)) return value.map(cloneValue);
  if (value instanceof Map) {
    const copy = new Map<unknown, unknown>();
    for (const [key, item] of value) copy.set(key, cloneValue(item));
    return copy;
  }
  if (isEntry(value)) return value;
  const copy: Record<string, unknown> = { ...value };
  for (const key in copy) {
    const item = copy[key];
    if (typeof item === 'object' && item !== null) copy[key] = cloneValue(item);
  }
  return copy;
}

/** Immutable, and told apart by op and chain. */
function isEntry(value: object): boolean {
  return 'chain' in value && 'body' in value;
}

const NONE: ReadonlySet<string> = new Set();

/**
 * 64 bits over plain data, as 16 hexadecimal digits; an entry counts by its op and chain, fields named in `skipped` not at all.
 */
export function hashValue(value: unknown, skipped: ReadonlySet<string> = NONE): string {
  const mix: Mix = { low: 0x811c9dc5, high: 0x9e3779b9 };
  mixValue(mix, value, skipped);
  const high = finish(mix.high ^ mix.low);
  return digits(high) + digits(finish(mix.low ^ high));
}

function digits(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

interface Mix {
  low: number;
  high: number;
}

// Two lanes of 32 bits with the rounds and the finish of MurmurHash3: a difference in any bit of a word reaches all others.
function mixWord(mix: Mix, word: number): void {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const low = mix.low ^ k;
  mix.low = (Math.imul((low << 13) | (low >>> 19), 5) + 0xe6546b64) | 0;
  k = Math.imul(word ^ 0x5bd1e995, 0x85ebca6b);
  k = Math.imul((k << 16) | (k >>> 16), 0xc2b2ae35);
  const high = mix.high ^ k;
  mix.high = (Math.imul((high << 17) | (high >>> 15), 5) + 0x561ccd1b) | 0;
}

function finish(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

const DOUBLE = new DataView(new ArrayBuffer(8));

function mixNumber(mix: Mix, value: number): void {
  if (value === (value | 0)) {
    mixWord(mix, value);
    return;
  }
  DOUBLE.setFloat64(0, value);
  mixWord(mix, DOUBLE.getInt32(0));
  mixWord(mix, DOUBLE.getInt32(4));
  mixWord(mix, 9);
}

function mixText(mix: Mix, value: string): void {
  for (let at = 0; at < value.length; at++) mixWord(mix, value.charCodeAt(at));
  mixWord(mix, value.length);
}

function mixValue(mix: Mix, value: unknown, skipped: ReadonlySet<string>): void {
  if (typeof value === 'number') mixNumber(mix, value);
  else if (typeof value === 'string') mixText(mix, value);
  else if (typeof value === 'boolean') mixWord(mix, value ? 3 : 5);
  else if (value === null || value === undefined) mixWord(mix, 7);
  else if (value instanceof Uint8Array || value instanceof Uint32Array) {
    for (const byte of value) mixWord(mix, byte);
    mixWord(mix, value.length);
  } else if (Array.isArray(value)) {
    for (const item of value) mixValue(mix, item, skipped);
    mixWord(mix, value.length + 11);
  } else if (value instanceof Map) {
    const items = [...value].map(([key, item]) => [String(key), item] as const);
    items.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    mixValue(mix, items, skipped);
  } else mixRecord(mix, value as Record<string, unknown>, skipped);
}

/** Names of fields are few and come again and again. */
const NAME_WORDS = new Map<string, number>();

function nameWord(name: string): number {
  let word = NAME_WORDS.get(name);
  if (word === undefined) {
    const mix: Mix = { low: 1, high: 2 };
    mixText(mix, name);
    word = mix.low;
    NAME_WORDS.set(name, word);
  }
  return word;
}

function mixRecord(mix: Mix, record: Record<string, unknown>, skipped: ReadonlySet<string>): void {
  if (isEntry(record)) {
    mixValue(mix, record['op'], skipped);
    mixValue(mix, record['chain'], skipped);
    return;
  }
  // Sorted by name: two records with the same fields hash alike however they were made.
  for (const name of Object.keys(record).sort()) {
    if (skipped.has(name)) continue;
    mixWord(mix, nameWord(name));
    mixValue(mix, record[name], skipped);
  }
  mixWord(mix, 13);
}
