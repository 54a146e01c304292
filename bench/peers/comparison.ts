// viewstamp beside what people use today: all peers in one interleaved run of the canonical workload.

import { formatCount } from '#dist/cli/units.js';
import { messageOf } from '#dist/cli/usage.js';
import type { Round } from '../cluster/contender.js';
import {
  type Disturbance,
  type InterleaveOptions,
  interleave,
  type Medians,
  mediansOf,
  ratioOf,
} from '../cluster/interleave.js';
import { ETCD } from './etcd.js';
import { LMDB, MAP } from './here.js';
import { NATS } from './nats.js';
import { pipelinesOverRedis } from './over-redis.js';
import type { Guarantees, Peer, PeerEntrant, PeerId } from './peer.js';
import { REDIS } from './redis.js';
import { findProgram, Servers } from './servers.js';
import { NAIVE_THREADS, VIEWSTAMP, YARDSTICK } from './threads.js';

export const PEERS: readonly Peer[] = [VIEWSTAMP, REDIS, ETCD, NATS, LMDB, MAP, NAIVE_THREADS];

/** One way to load one peer, over all rounds. */
export interface PeerRow extends Medians {
  readonly id: string;
  readonly peer: PeerId;
  readonly name: string;
  readonly guarantees: Guarantees;
  /** Operations per second over those of viewstamp's pipelines: median of the ratios within rounds. */
  readonly ofViewstamp: number;
  readonly rounds: readonly Round[];
}

export interface PeerComparison {
  readonly rows: readonly PeerRow[];
  /** Work of two threads over work of one: before the first round and after each. */
  readonly capacity: readonly number[];
  readonly disturbance: Disturbance;
  /** viewstamp's pipelines over Redis, both at their best; null: Redis did not take part. */
  readonly pipelinesOverRedis: number | null;
}

/** Why a peer cannot take part; undefined: it can. */
export function obstacle({ program }: Pick<Peer, 'program'>): string | undefined {
  if (program === undefined || findProgram(program) !== undefined) return undefined;
  return `${program.name} is not installed (apt-get install ${program.package})`;
}

export interface PeerOptions extends Omit<InterleaveOptions, 'roundDone'> {
  /** Told what each round found, a line each. */
  readonly tell: (line: string) => void;
}

/** `peers` with VIEWSTAMP among them. @throws when a server does not start, ends meanwhile, or an operation fails */
export async function comparePeers(
  peers: readonly Peer[],
  options: PeerOptions,
): Promise<PeerComparison> {
  await using servers = new Servers();
  try {
    const entrants: (PeerEntrant & { readonly peer: Peer })[] = [];
    for (const peer of peers) {
      options.begin(0, `starting ${peer.id}`);
      for (const entrant of await peer.open(servers)) entrants.push({ ...entrant, peer });
    }
    const { measured, capacity, disturbance } = await interleave(entrants, {
      ...options,
      roundDone: (round, row, now) => {
        const figures = row.map(
          ({ opsPerSecond }, at) => `${entrants[at]?.id} ${formatCount(opsPerSecond)}/s`,
        );
        options.tell(`round ${round}, capacity ${now.toFixed(2)}: ${figures.join(' · ')}`);
      },
    });
    const roundsAt = (at: number): readonly Round[] => measured[at] ?? [];
    const yardstick = roundsAt(entrants.findIndex(({ id }) => id === YARDSTICK));
    const rows = entrants.map(({ id, name, peer }, at) => ({
      id,
      peer: peer.id,
      name,
      guarantees: peer.guarantees,
      ...mediansOf(roundsAt(at)),
      ofViewstamp: ratioOf(roundsAt(at), yardstick),
      rounds: roundsAt(at),
    }));
    const redis = rows.filter(({ peer }) => peer === REDIS.id).map(({ rounds }) => rounds);
    return {
      rows,
      capacity,
      disturbance,
      pipelinesOverRedis: redis.length === 0 ? null : pipelinesOverRedis([yardstick], redis),
    };
  } catch (error) {
    // A client that lost its server says little about why.
    const { deaths } = servers;
    if (deaths.length === 0) throw error;
    throw new Error([messageOf(error), ...deaths].join('\n'), { cause: error });
  }
}
