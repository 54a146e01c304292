// What happens to the client's half of the protocol, and what it wants done (protocol.md 3.14). The host owns rings,
// clock and promises; bodies are opaque and must stay unchanged until their call is settled, for they are resent.

import type { RingPositions } from './client/reading-watch.js';
import type { ClientMessage, ServerMessage } from './message.js';
import type { EpochNumber, OpNumber, ReplicaId, ViewNumber } from './types.js';

/** What a read that any active may answer has to show (RD8). */
export interface LocalLevel {
  /** No older than anything that this client has seen or done. */
  readonly session: boolean;
  /** How long ago the replica may have heard of the primary; `ANY_AGE`: never mind. */
  readonly maxStaleMs: number;
}

export type ClientEvent =
  /** Open a session. Nothing else is sent before it exists. */
  | { readonly type: 'open' }
  /** A writing request; allowed only while `canSubmit(replyBytes)`. `token` comes back in its `settle`. */
  | {
      readonly type: 'submit';
      readonly token: number;
      readonly body: Uint8Array;
      readonly replyBytes: number;
    }
  /** A read; allowed only while `canRead()`. `level` null: linearizable. */
  | {
      readonly type: 'read';
      readonly token: number;
      readonly body: Uint8Array;
      readonly level: LocalLevel | null;
    }
  | { readonly type: 'message'; readonly from: ReplicaId; readonly message: ServerMessage }
  /** `ring`: that to the supposed primary, before anything is written in this tick (CL2). */
  | { readonly type: 'tick'; readonly count: number; readonly ring: RingPositions }
  /** Write what is due. `room[id]`: bytes that may be written to replica id; positive admits at least one message. */
  | { readonly type: 'flush'; readonly room: readonly number[] }
  /** End the session once nothing is open (CS8). */
  | { readonly type: 'close' };

export type ClientOutcome =
  /** `result` may view the received message: read it during the step, or copy it. */
  | { readonly code: 'ok'; readonly result: Uint8Array; readonly op: OpNumber }
  /** Executed, but the kept reply was dropped for its size (CS6). */
  | { readonly code: 'replyDropped' }
  /** The session was evicted while the request was open: it ran once or never (CL3). */
  | { readonly code: 'evicted' };

export type ClientEffect =
  | { readonly type: 'send'; readonly to: ReplicaId; readonly message: ClientMessage }
  | { readonly type: 'settle'; readonly token: number; readonly outcome: ClientOutcome }
  /** The session exists (again): requests may be submitted. */
  | { readonly type: 'opened' }
  /** The primary refuses new requests because its log is full (BP6); `false` when a reply shows that it is over. */
  | { readonly type: 'logFull'; readonly full: boolean }
  /** A later view is known, or one began to serve. */
  | {
      readonly type: 'view';
      readonly epoch: EpochNumber;
      readonly view: ViewNumber;
      readonly primaryId: ReplicaId | null;
    }
  /** Everything was resent (once per cause). */
  | { readonly type: 'resent'; readonly requests: number }
  /** The session was removed, or did not exist: the client may go. */
  | { readonly type: 'closed' };
