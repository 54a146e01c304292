// The numbers of the paper, by name. All are plain JavaScript numbers below 2^53 unless said otherwise.

/** Position of a replica in the configuration, 0..n-1; globally unique and never reused (D21). */
export type ReplicaId = number;
/** Lifetime of one configuration. Constant 0 until reconfiguration exists. */
export type EpochNumber = number;
/** Period with one primary inside an epoch. */
export type ViewNumber = number;
/** Position in the log, from 1; 0 means "nothing". One op is one entry, that is 1..batchMax requests (D1). */
export type OpNumber = number;
/** Position of a request in its session, from 1, without gaps (CS2). */
export type RequestNumber = number;
/** `op * 4096 + idx` of the Register that created the session (CS1); 0 means "no session". */
export type SessionNumber = number;
/** Where replies to a client go: a number that the host chooses and only the host understands. */
export type ClientAddress = number;
/** 128 random bits as four unsigned 32-bit numbers, fresh for every start of a client (CL5). */
export type ClientId = readonly [number, number, number, number];
/** Four signed 32-bit words of the hash chain at one op (1.5). */
export type Chain = readonly [number, number, number, number];
/** Start counter of a replica thread; a recovering replica quotes it as its nonce (H1, R2). */
export type StartNumber = number;

/** `(epoch, view)`, ordered lexicographically (D10). */
export interface Stamp {
  readonly epoch: EpochNumber;
  readonly view: ViewNumber;
}

/** One `[op, chain]` pair of a ladder (1.5). */
export interface Rung {
  readonly op: OpNumber;
  readonly chain: Chain;
}

/** The seven states of 1.7 that stage 1 has. */
export type Status = 'normal' | 'view-change' | 'recovering';

export type Role = 'active' | 'witness';

/**
 * Digest of `bytes[from..to)`: writes 64 bits as two words into `out[0]` (low) and `out[1]` (high).
 * Fast, not cryptographic: it guards against bugs and bit rot, not against peers (D23). Handed in,
 * because the core may name neither WebAssembly nor Node.
 */
export type Digest64 = (bytes: Uint8Array, from: number, to: number, out: Uint32Array) => void;

/** Uniform unsigned 32-bit number; handed in, so that a run can be replayed from its seed. */
export type Random32 = () => number;

/** Milliseconds of a monotonic clock, with fractions, at the moment of the call; only differences mean something (H4). */
export type Clock = () => number;

export const SESSION_STRIDE = 4096;

export function compareStamps(a: Stamp, b: Stamp): number {
  return a.epoch - b.epoch || a.view - b.view;
}

export function sameChain(a: Chain, b: Chain): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

export function sameClient(a: ClientId, b: ClientId): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}
