// The public names, nothing else.

export type * from './actors/api.js';
export { attach } from './actors/client/attach.js';
export { type Outcome, VrError, type VrErrorCode } from './actors/errors.js';
export { open } from './actors/open.js';
