// The bytes of operations and results, shared by clients and services. Little-endian, unaligned, walked with a cursor and never
// decoded into objects.
//
//  request    service u8 | flags u8 | 0 u16 | count u32 | operations ...
//  operation  code u8 | condition u8 | key bytes u16 | value bytes u32 | [extra f64] | key | [expected] | value
//             extra: the expected revision, or what to add; for compare-and-set: bytes of `expected`, -1 for absent
//  write result   status u8 | 0 u8 | 0 u16 | count u32 | revision before f64 | status u8 per operation | extras f64 ...
//  read result    status u8 | 0 u8 | 0 u16 | answered u32 | per operation: present u8 | [revisions 2 x f64] | [bytes u32 | value]

export const SERVICE_KV = 1;
export const SERVICE_ECHO = 2;

/** All or nothing, and one revision. */
export const FLAG_ATOMIC = 1;

export const OP_SET = 1;
export const OP_DELETE = 2;
export const OP_INCR = 3;
export const OP_CAS = 4;
export const OP_GET = 16;
export const OP_GET_ITEM = 17;
export const OP_HAS = 18;

export const IF_ALWAYS = 0;
export const IF_ABSENT = 1;
export const IF_PRESENT = 2;
export const IF_REVISION = 3;
/** Bit of the condition: withdrawn before it was sent, so nothing happens. */
export const SKIPPED = 0x80;

export const REQUEST_HEADER = 8;
export const OPERATION_HEADER = 8;
export const WRITE_RESULT_HEADER = 16;
export const READ_RESULT_HEADER = 8;

/** Status of a whole result. */
export const RESULT_OK = 0;
/** The request's bytes are not a request: nothing was executed. */
export const RESULT_MALFORMED = 1;
/** An operation of an atomic batch failed: nothing was changed; the statuses say which and why. */
export const RESULT_ABORTED = 2;

/** Statuses of one operation. */
export const CHANGED = 0;
/** Nothing to do: a delete of what is absent. */
export const UNCHANGED = 1;
/** The condition did not hold; the extra is the stored revision, 0 for absent. */
export const CONDITION_FAILED = 2;
/** A counter was changed; the extra is its new value. */
export const COUNTED = 3;
export const WRONG_TYPE = 4;
export const OUT_OF_RANGE = 5;
export const STORE_FULL = 6;
export const KEY_INVALID = 7;
export const VALUE_TOO_LARGE = 8;
/** Not executed, for another operation of its batch failed. */
export const NOT_APPLIED = 9;

export const KEY_BYTES_MAX = 1024;
export const VALUE_BYTES_MAX: number = 1 << 20;
/** A read stops before its answer passes this, and says how far it came; one value of any size always fits. */
export const READ_REPLY_BYTES: number = (1 << 20) + (64 << 10);

/** Statuses that carry an extra. */
export function hasExtra(status: number): boolean {
  return status === CONDITION_FAILED || status === COUNTED;
}
