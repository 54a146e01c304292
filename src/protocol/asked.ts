// Requests and reads as a primary takes them: by the million, so the record is its owner's, who fills it in anew for each, and the body
// stays where it lies. The fields are those of the messages.

import type { Read, Request } from './message.js';

interface Body {
  /** The body is `bytes[from..to)`, valid as long as the event lasts. */
  readonly bytes: Uint8Array;
  readonly from: number;
  readonly to: number;
}

export type AskedRequest = Omit<Request, 'kind' | 'body'> & Body;
export type AskedRead = Omit<Read, 'kind' | 'body'> & Body;

export function askedRequest(message: Request): AskedRequest {
  const { clientId, session, requestNumber, acked, epoch, seenView, body } = message;
  const place = { bytes: body, from: 0, to: body.length };
  return { clientId, session, requestNumber, acked, epoch, seenView, ...place };
}

export function askedRead(message: Read): AskedRead {
  const { clientId, session, afterRequest, readId, epoch, seenView, body } = message;
  const place = { bytes: body, from: 0, to: body.length };
  return { clientId, session, afterRequest, readId, epoch, seenView, ...place };
}
