// What is said of values that an encoding does not take, and of bytes that it does not know.

import { VrError } from '../errors.js';

export function refusedValue(codec: string, why: string, cause?: unknown): VrError {
  return new VrError('VR_CODEC', `${codec} cannot encode the value: ${why}`, {
    details: { encoding: codec },
    ...(cause === undefined ? {} : { cause }),
  });
}

export function undecodable(codec: string, cause: unknown): VrError {
  return new VrError('VR_CODEC', `the stored bytes are no ${codec}`, {
    details: { encoding: codec },
    cause,
  });
}
