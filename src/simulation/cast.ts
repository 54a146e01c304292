// Who is meant: names of a story turned into ids, and faults into patterns of the network. Names are resolved at the moment
// of use, so `A0` is whoever leads then.

import type { ClientTiming } from '../protocol/client/state.js';
import type { Durability } from '../protocol/durability.js';
import type { ProtocolLimits, ProtocolTiming } from '../protocol/limits.js';
import type { MarkSink } from '../protocol/marks.js';
import type { Message, MessageKind } from '../protocol/message.js';
import type { Mutations } from '../protocol/mutations.js';
import type { StateMachine } from '../protocol/state-machine.js';
import { CLIENT_BASE, type Pattern } from './network.js';

/**
 * `R2` or 2: by id. `A0`: present primary; `B1`, `B2`: the actives behind it in the rotation. `W`, `W1`: first witness, `W2`
 * the second. `R_`: all replicas. `C0`: client 0; `clients`: all of them.
 */
export type Who = string | number | readonly (string | number)[];

export interface StoryOptions {
  readonly replicas?: number;
  readonly witnesses?: number;
  readonly clients?: number;
  /** Does the host tell about exits and starts of threads? Default true. */
  readonly hints?: boolean;
  readonly seed?: number;
  /** @default 'memory' */
  readonly durability?: Durability;
  /** Ticks that a flush of a disk takes. @default 0 */
  readonly flushTicks?: number;
  /** Real services beside the machine of the story, for `raw` calls. */
  readonly services?: () => StateMachine;
  /** Somebody's state is made to differ: a replica that halts for that (CP8) ends alone, and the story goes on. */
  readonly diverges?: boolean;
  readonly mutations?: Mutations;
  /** Hears of every rare path that a replica takes. */
  readonly marks?: MarkSink;
  readonly limits?: Partial<ProtocolLimits>;
  readonly timing?: Partial<ProtocolTiming>;
  readonly clientTiming?: Partial<ClientTiming>;
  /** Rates of the clocks that measure leases, by replica. @default 1 */
  readonly leaseRates?: readonly number[];
  /** Random order of passes within a round. */
  readonly shuffle?: boolean;
  /** Do not wait until the clients have their sessions. */
  readonly quiet?: boolean;
  /** Clients do not bound the bytes of open replies (CS6). */
  readonly ignoreReplyBytes?: boolean;
}

export interface Faults {
  readonly from?: Who;
  readonly to?: Who;
  readonly kinds?: MessageKind | readonly MessageKind[];
  readonly where?: (message: Message) => boolean;
  readonly share?: number;
}

export interface Cast {
  readonly replicas: number;
  readonly actives: number;
  readonly primary: number;
  readonly clients: readonly { readonly address: number }[];
}

export function resolve(cast: Cast, who: Who): number[] {
  if (typeof who === 'number') return [who];
  if (typeof who !== 'string') return who.flatMap((name) => resolve(cast, name));
  if (who === 'R_') return Array.from({ length: cast.replicas }, (_, id) => id);
  if (who === 'clients') return cast.clients.map((client) => CLIENT_BASE + client.address);
  const number = Number(who.slice(1) || (who === 'W' ? '1' : 'NaN'));
  if (!Number.isInteger(number)) throw new Error(`nobody is called '${who}'`);
  switch (who[0]) {
    case 'R':
      return [number];
    case 'A':
    case 'B':
      return [(cast.primary + number) % cast.actives];
    case 'W':
      return [cast.actives + number - 1];
    case 'C': {
      const client = cast.clients[number];
      return client === undefined ? [] : [CLIENT_BASE + client.address];
    }
    default:
      throw new Error(`nobody is called '${who}'`);
  }
}

export function patternOf(cast: Cast, faults: Faults): Pattern {
  const { from, to, kinds, where, share } = faults;
  return {
    from: from === undefined ? null : new Set(resolve(cast, from)),
    to: to === undefined ? null : new Set(resolve(cast, to)),
    kinds: kinds === undefined ? null : new Set(typeof kinds === 'string' ? [kinds] : kinds),
    where: where ?? null,
    share: share ?? 1,
  };
}
