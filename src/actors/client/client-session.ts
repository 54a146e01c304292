// The protocol's session of one client, set up for its thread: names and nonces come from the system's randomness, and each name
// is left where it outlives the thread, for whoever has to end the session then.

import { DEFAULT_CLIENT_TIMING } from '../../protocol/client/state.js';
import { ClientSession } from '../../protocol/client.js';
import type { ClientId } from '../../protocol/types.js';
import { writeClientId } from '../../transport/mesh.js';
import type { ClientBoot } from '../boot.js';
import { random32 } from '../random.js';

/** Requests whose reads may be open at once. */
const READS_MAX = 64;

export function newSession({
  address,
  link,
  settings,
  replicas,
  actives,
}: ClientBoot): ClientSession {
  return new ClientSession({
    freshClientId: () => {
      const clientId = freshClientId();
      writeClientId(link, clientId);
      return clientId;
    },
    freshNonce: () => random32() + (random32() & 0x1f_ffff) * 2 ** 32,
    replicas,
    actives,
    timing: DEFAULT_CLIENT_TIMING,
    sessionWindow: settings.sessionWindow,
    sessionReplyBytes: settings.sessionReplyBytes,
    readsMax: READS_MAX,
    // Clients are spread over the actives.
    home: address % actives,
    // It spreads timers, one for each reply: nothing that has to be unforeseeable.
    random: () => Math.floor(Math.random() * 2 ** 32),
  });
}

function freshClientId(): ClientId {
  return [random32(), random32(), random32(), (random32() | 1) >>> 0];
}
