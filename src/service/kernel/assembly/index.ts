// The hot loops of the key-value store, in AssemblyScript: plain sets of keys that are there, and plain gets. On the same bytes they
// do what `hashKey`, `ByteTable.find`, `Records.overwrite`, `PagedHeap.touch` and `KeyValueService` do, whose rules and layouts are
// repeated here; a test compares both over random requests. They stop at the first operation that is anything else: that one is
// the caller's. Ref `r` of the heap is at `heap + r * 16`.
//
// Operations go through in groups: first all their keys are hashed and the cache lines of their buckets and records asked for, then they
// are executed one by one. So the misses of a group overlap, which no processor does by itself over the length of an operation.
// Executing moves nothing, so what was found out for a group holds until its end.

// Of requests.
const OPERATION_HEADER: u32 = 8;
const OP_SET: u32 = 1;
const OP_GET: u32 = 16;
const KEY_BYTES_MAX: u32 = 1024;

// Of the root, in words.
const BUCKETS: usize = 321;
const LEAVES: u32 = 512;

// Of the table.
const SLOTS: u32 = 7;
const OVERFLOW: u32 = 15;
const BUCKET_UNITS: u32 = 4;
const CHUNK_SHIFT: u32 = 6;
const CHUNK_MASK: u32 = (1 << CHUNK_SHIFT) - 1;
const LEAF_CHUNKS: u32 = 1023;

// Of records, in bytes.
const LENGTHS: usize = 4;
const REVISION: usize = 8;
const KEY: u32 = 24;
const VALUE_MASK: u32 = (1 << 21) - 1;
const IDLE_UNITS: i32 = 6;

/** Flags of a page whose next write changes nothing about it. */
const TOUCHED: u32 = 3;

// Where the loops leave what they did.
const DONE: usize = 0;
const ANSWERED: usize = 4;
const ASKED: usize = 8;
/** Hash and bucket of each operation of a group. */
const PLANS: u32 = 64;
const GROUP: u32 = 16;

/** Longer ones are copied by the engine. */
const LONG_BYTES: u32 = 256;

@inline
function hashKey(key: u32, length: u32): u32 {
  let hash = length * 0x9e3779b1;
  let at = key;
  for (const end = key + (length & ~3); at < end; at += 4) {
    hash = (hash ^ load<u32>(at)) * 0x85ebca6b;
    hash ^= hash >>> 15;
  }
  for (const end = key + length; at < end; at++) hash = (hash ^ load<u8>(at)) * 0x01000193;
  hash = (hash ^ (hash >>> 16)) * 0xc2b2ae35;
  hash ^= hash >>> 13;
  return hash == 0 ? 1 : hash;
}

@inline
function bucketOf(heap: u32, hash: u32): u32 {
  const buckets = load<u32>(heap, BUCKETS * 4);
  const mask: u32 = (1 << (32 - clz(buckets))) - 1;
  const wide = hash & mask;
  const number = wide < buckets ? wide : hash & (mask >>> 1);
  const chunk = number >>> CHUNK_SHIFT;
  const leaf = load<u32>(heap + ((LEAVES + chunk / LEAF_CHUNKS) << 2));
  const first = load<u32>(heap + (leaf << 4) + ((1 + (chunk % LEAF_CHUNKS)) << 2));
  return heap + ((first + (number & CHUNK_MASK) * BUCKET_UNITS) << 4);
}

/** A bit per word of a bucket, set where the word is that hash. */
@inline
function hitsIn(bucket: u32, hash: u32): u32 {
  const wanted = i32x4.splat(hash);
  // The first word is the allocator's.
  const low = i32x4.bitmask(i32x4.eq(v128.load(bucket), wanted)) & 0b1110;
  return low | (i32x4.bitmask(i32x4.eq(v128.load(bucket, 16), wanted)) << 4);
}

@inline
function hasKey(record: u32, key: u32, length: u32): bool {
  if (load<u32>(record, LENGTHS) >>> 21 != length) return false;
  const stored = record + KEY;
  const whole = length & ~3;
  let at: u32 = 0;
  while (at < whole && load<u32>(stored + at) == load<u32>(key + at)) at += 4;
  if (at < whole) return false;
  while (at < length && load<u8>(stored + at) == load<u8>(key + at)) at++;
  return at == length;
}

/** The ref of the record with this key, or 0. */
@inline
function find(heap: u32, first: u32, hash: u32, key: u32, length: u32): u32 {
  let bucket = first;
  let overflow: u32;
  do {
    for (let hits = hitsIn(bucket, hash); hits != 0; hits &= hits - 1) {
      const ref = load<u32>(bucket + ((ctz(hits) + SLOTS) << 2));
      if (hasKey(heap + (ref << 4), key, length)) return ref;
    }
    overflow = load<u32>(bucket, OVERFLOW * 4);
    bucket = heap + (overflow << 4);
  } while (overflow != 0);
  return 0;
}

/** Copies exactly `length` bytes: what lies behind them stays as it is. */
@inline
function copy(to: u32, from: u32, length: u32): void {
  if (length > LONG_BYTES) memory.copy(to, from, length);
  else if (length >= 16) {
    // The last sixteen overlap those before them.
    const last = length - 16;
    for (let at: u32 = 0; at < last; at += 16) v128.store(to + at, v128.load(from + at));
    v128.store(to + last, v128.load(from + last));
  } else if (length >= 8) {
    store<u64>(to, load<u64>(from));
    store<u64>(to + length - 8, load<u64>(from + length - 8));
  } else if (length >= 4) {
    store<u32>(to, load<u32>(from));
    store<u32>(to + length - 4, load<u32>(from + length - 4));
  } else for (let at: u32 = 0; at < length; at++) store<u8>(to + at, load<u8>(from + at));
}

/** Walks over up to `count` plain operations in `from..to`, all of one code. Returns where it stopped. */
export function walk(from: u32, to: u32, count: u32, reads: bool): u32 {
  const code = reads ? OP_GET : OP_SET;
  let at = from;
  let done: u32 = 0;
  for (; done < count && to - at >= OPERATION_HEADER; done++) {
    const head = load<u32>(at);
    const valueBytes = load<u32>(at, 4);
    // In 64 bits, where nothing wraps round.
    const end = <u64>at + OPERATION_HEADER + (head >>> 16) + valueBytes;
    if ((head & 0xffff) != code || end > to || (reads && valueBytes != 0)) break;
    at = <u32>end;
  }
  store<u32>(DONE, done);
  return at;
}

/** Plans the plain operations from `at` on, of one code, and asks for their memory. Returns how many they are. */
function plan(at: u32, most: u32, heap: u32, code: u32): u32 {
  const count = min(most, GROUP);
  let planned: u32 = 0;
  let end = PLANS;
  for (; planned < count; planned++) {
    const head = load<u32>(at);
    const keyBytes = head >>> 16;
    if ((head & 0xffff) != code || keyBytes == 0 || keyBytes > KEY_BYTES_MAX) break;
    const hash = hashKey(at + OPERATION_HEADER, keyBytes);
    store<u32>(end, hash);
    store<u32>(end, bucketOf(heap, hash), 4);
    end += 8;
    at += OPERATION_HEADER + keyBytes + load<u32>(at, 4);
  }
  // The first two lines of the record are as far as most reach. Where there is none in the bucket, what follows the bucket; where
  // nothing does, the root. What was read is stored, or the compiler would leave the reading out.
  let asked: u32 = 0;
  for (let plan = PLANS; plan < end; plan += 8) {
    const bucket = load<u32>(plan, 4);
    const hits = hitsIn(bucket, load<u32>(plan)) | (1 << (OVERFLOW - SLOTS));
    const next = heap + (load<u32>(bucket + ((ctz(hits) + SLOTS) << 2)) << 4);
    asked += load<u32>(next) + load<u32>(next, 64);
  }
  store<u32>(ASKED, asked);
  return planned;
}

/** True when all pages of these units may be written as they are. */
@inline
function touched(flags: u32, pageShift: u32, ref: u32, units: u32): bool {
  const last = (ref + units - 1) >>> pageShift;
  for (let page = ref >>> pageShift; page <= last; page++)
    if (load<u8>(flags + page) != TOUCHED) return false;
  return true;
}

/** Executes up to `count` sets from `at` on, the first of which makes `revision`. Returns where it stopped. */
export function writes(
  from: u32,
  count: u32,
  heap: u32,
  flags: u32,
  pageShift: u32,
  revision: f64,
): u32 {
  let at = from;
  let done: u32 = 0;
  for (let planned = GROUP; planned == GROUP && done < count; ) {
    planned = plan(at, count - done, heap, OP_SET);
    const end = PLANS + planned * 8;
    for (let plan = PLANS; plan < end; plan += 8) {
      const keyBytes = load<u32>(at) >>> 16;
      const valueBytes = load<u32>(at, 4);
      const key = at + OPERATION_HEADER;
      const ref = find(heap, load<u32>(plan, 4), load<u32>(plan), key, keyBytes);
      const record = heap + (ref << 4);
      const valueAt = KEY + ((keyBytes + 3) & ~3);
      const units = (valueAt + valueBytes + 15) >>> 4;
      const has = load<u32>(record) >>> 2;
      const idle = <i32>(has - units);
      if (
        ref == 0 ||
        idle < 0 ||
        (idle > IDLE_UNITS && idle > <i32>(has >>> 2)) ||
        !touched(flags, pageShift, ref, units)
      ) {
        planned = 0;
        break;
      }
      store<u32>(record, (keyBytes << 21) | valueBytes, LENGTHS);
      store<f64>(record, revision, REVISION);
      copy(record + valueAt, key + keyBytes, valueBytes);
      revision += 1;
      at = key + keyBytes + valueBytes;
      done++;
    }
  }
  store<u32>(DONE, done);
  return at;
}

/** Answers up to `count` gets from `at` on, in `out..outEnd`. Returns where it stopped. */
export function reads(from: u32, count: u32, heap: u32, out: u32, outEnd: u32): u32 {
  let at = from;
  let done: u32 = 0;
  for (let planned = GROUP; planned == GROUP && done < count; ) {
    planned = plan(at, count - done, heap, OP_GET);
    const end = PLANS + planned * 8;
    for (let plan = PLANS; plan < end; plan += 8) {
      const keyBytes = load<u32>(at) >>> 16;
      const key = at + OPERATION_HEADER;
      const ref = find(heap, load<u32>(plan, 4), load<u32>(plan), key, keyBytes);
      const record = heap + (ref << 4);
      const valueBytes: u32 = ref == 0 ? 0 : load<u32>(record, LENGTHS) & VALUE_MASK;
      const bytes: u32 = ref == 0 ? 1 : 5 + valueBytes;
      if (bytes > outEnd - out) {
        planned = 0;
        break;
      }
      store<u8>(out, ref == 0 ? 0 : 1);
      if (ref != 0) {
        store<u32>(out, valueBytes, 1);
        copy(out + 5, record + KEY + ((keyBytes + 3) & ~3), valueBytes);
      }
      out += bytes;
      at = key + keyBytes;
      done++;
    }
  }
  store<u32>(DONE, done);
  store<u32>(ANSWERED, out);
  return at;
}
