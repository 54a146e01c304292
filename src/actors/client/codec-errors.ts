// What is said of values that an encoding does not take, and of bytes that it does not know.

import { VrError } from '../errors.js';
import { show } from '../option-checks.js';

export function refusedValue(codec: string, why: string, cause?: unknown): VrError {
  return new VrError('VR_CODEC', `${codec} cannot encode the value: ${why}`, {
    details: { encoding: codec },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** An error of decoding, said of the value of `key`. */
export function ofKey(error: unknown, key: unknown): unknown {
  if (!VrError.is(error, 'VR_CODEC')) return error;
  const { message, cause, details } = error;
  return new VrError('VR_CODEC', `${message}, at key ${show(key)}`, {
    cause,
    details: { ...details, key },
  });
}

export function undecodable(codec: string, cause: unknown): VrError {
  return new VrError('VR_CODEC', `the stored bytes are no ${codec}`, {
    details: { encoding: codec },
    cause,
  });
}
