// Ends the session of a client whose thread is gone (CS8). The dead cannot write any more, so its rings are taken over: an
// Unregister goes to every replica until the primary answers. What the client left open is then never executed later.

import type { ReplicaId } from '../../protocol/types.js';
import { sameClient } from '../../protocol/types.js';
import { EVERYTHING, InLink, OutLink } from '../../transport/link.js';
import {
  type ClientLinkMemory,
  clientDoorbell,
  type MeshMemory,
  ReplicaBlock,
  readClientId,
} from '../../transport/mesh.js';
import { RingReader, RingWriter } from '../../transport/ring.js';

const REPEAT_MS = 50;
/** Attempts before the session is left to eviction (CS1): half a minute. */
const ATTEMPTS_MAX = 600;

/** @returns whether the session is known to be gone. */
export async function endSession(
  mesh: MeshMemory,
  link: ClientLinkMemory,
  stopped: () => boolean,
): Promise<boolean> {
  const clientId = readClientId(link);
  if (clientId.every((word) => word === 0)) return true; // it never registered
  const ids: ReplicaId[] = link.requests.map((_, id) => id);
  const out = ids.map(
    (id) =>
      new OutLink(
        new RingWriter(link.requests[id] as SharedArrayBuffer),
        new ReplicaBlock(mesh, id).doorbell,
      ),
  );
  const inbound = ids.map(
    (id) => new InLink(new RingReader(link.replies[id] as SharedArrayBuffer)),
  );
  const bell = clientDoorbell(link);
  for (let attempt = 0; attempt < ATTEMPTS_MAX && !stopped(); attempt++) {
    for (const to of out) {
      to.send({ kind: 'unregister', clientId, session: 0, epoch: 0, seenView: 0 });
      to.flush();
    }
    await sleep(REPEAT_MS);
    bell.ring();
    let gone = false;
    for (const from of inbound)
      from.poll(EVERYTHING, null, (message) => {
        const answer =
          message.kind === 'reply' && message.requestNumber === 0 && message.nonce === 0;
        if (answer && sameClient(message.clientId, clientId)) gone = true;
      });
    if (gone) return true;
  }
  return false;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
