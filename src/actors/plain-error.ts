// An error as it travels between threads: clones of errors lose their code, and their class may not be known on the other side.

import { VrError, type VrErrorCode } from './errors.js';

export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
}

export function plain(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, stack } = error;
  const { code } = error as { code?: unknown };
  return {
    name,
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(typeof code === 'string' ? { code } : {}),
  };
}

/** As users know errors: a code makes a `VrError` of it again. */
export function whole({ name, message, stack, code }: PlainError): Error {
  const error = code === undefined ? new Error(message) : new VrError(code as VrErrorCode, message);
  return Object.assign(error, { name }, stack === undefined ? {} : { stack });
}
