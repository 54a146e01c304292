// Assertions stay on in production: a replica that finds the impossible stops before it can spread it.

/** A broken invariant of the protocol. It ends the replica that found it, never the process. */
export class ProtocolViolation extends Error {
  override readonly name = 'ProtocolViolation';
}

/** Throws {@link ProtocolViolation} unless `condition` holds; put the values into `message`. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ProtocolViolation(message);
}
