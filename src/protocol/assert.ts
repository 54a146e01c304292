// Assertions stay on in production: a replica that finds the impossible stops before it can spread it.

/** A broken invariant of the protocol. It ends the replica that found it, never the process. */
export class ProtocolViolation extends Error {
  override readonly name: string = 'ProtocolViolation';
}

/**
 * After a restart of all the others went on without this replica's disk, and what it holds as committed is not what they have (E42):
 * its store is of no use, and it has to recover.
 */
export class StoreContradicted extends ProtocolViolation {
  override readonly name: string = 'StoreContradicted';
}

/** This replica's state is not that of the others (CP8): it must not be started again as if nothing had happened. */
export class Divergence extends ProtocolViolation {
  override readonly name: string = 'Divergence';
}

/**
 * For what must hold where the message has values in it: `if (!holds) violated(...)`. Behind the condition, because an argument is made
 * whether it is needed or not, and text made of numbers costs more than most of what it guards.
 */
export function violated(message: string): never {
  throw new ProtocolViolation(message);
}

/** Throws {@link ProtocolViolation} unless `condition` holds; a message with values in it is for {@link violated}. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ProtocolViolation(message);
}
