// What a client says of calls that the service never answered, or whose answer was lost. Errors that the service answers with,
// and those of a call's own deadline or signal, stand with the calls.

import { type Outcome, PERMANENT_LOSS, VrError } from '../errors.js';

/** Why calls end together; what became of each is its own. */
export type Ending = (outcome: Outcome) => VrError;

export function closedError(outcome: Outcome): VrError {
  return new VrError('VR_CLOSED', 'the client or its cluster is closed', { outcome });
}

export function lostError(outcome: Outcome): VrError {
  return new VrError('VR_NO_QUORUM', PERMANENT_LOSS, {
    outcome,
    details: { permanent: true },
  });
}

export function evictedError(): VrError {
  return new VrError('VR_SESSION_EXPIRED', 'the session was evicted while the request was open', {
    outcome: 'unknown',
  });
}

export function resultLostError(): VrError {
  return new VrError('VR_RESULT_LOST', 'executed, but its result was dropped for its size', {
    outcome: 'executed',
  });
}

export function logFullError(logBytes: number, outcome: Outcome): VrError {
  return new VrError('VR_OVERLOADED', `the log has reached limits.logBytes = ${logBytes}`, {
    outcome,
    // Checkpoints free it, at the latest when those it is kept for have come back.
    retryable: true,
    details: { limit: 'logBytes', logBytes },
  });
}

export function callsWaitingError(callsWaiting: number): VrError {
  return new VrError(
    'VR_OVERLOADED',
    `limits.callsWaiting = ${callsWaiting} calls wait to be sent`,
    {
      retryable: true,
      details: { limit: 'callsWaiting', callsWaiting },
    },
  );
}
