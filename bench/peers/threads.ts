// Three copies in the threads of this process: viewstamp, the yardstick, and what one writes in an afternoon instead.

import type { Contender } from '../cluster/contender.js';
import { NAIVE } from '../cluster/naive.js';
import { REPLICATED } from '../cluster/replicated.js';
import type { Peer, PeerEntrant } from './peer.js';

/** The row that all others are related to. */
export const YARDSTICK = 'viewstamp-pipelines';

function contender(id: Contender['id']): Contender {
  const found = REPLICATED.find((one) => one.id === id);
  if (found === undefined) throw new Error(`there is no contender ${id}`);
  return found;
}

function entrant(id: string, name: string, { start }: Contender): PeerEntrant {
  return { id, name, start };
}

export const VIEWSTAMP: Peer = {
  id: 'viewstamp',
  guarantees: {
    copies: 3,
    acknowledged: 2,
    linearizable: true,
    survives: '1 thread',
    durable: 'no',
    note: 'the process is the unit that fails as a whole',
  },
  open: async () => [
    entrant(YARDSTICK, 'viewstamp, pipelines of 512', contender('replicas')),
    entrant('viewstamp-promises', 'viewstamp, a promise per operation', contender('promise')),
  ],
};

export const NAIVE_THREADS: Peer = {
  id: 'naive',
  guarantees: {
    copies: 3,
    acknowledged: 2,
    linearizable: false,
    survives: 'nothing',
    durable: 'no',
    note: 'without view change or retry: when its primary thread ends, everything ends',
  },
  open: async () => [entrant('naive', NAIVE.name, NAIVE)],
};
