// A cluster that waits for its turn: its replicas talk to each other some hundred times a second, and four idle clusters take as much as
// a fifth of a core from whatever is measured meanwhile.

import type { Admin, Cluster } from 'viewstamp';
import type { Running } from './contender.js';

export function standstill(cluster: Cluster): Required<Pick<Running<unknown>, 'pause' | 'resume'>> {
  const tellAll = async (tell: Admin['pause']): Promise<void> => {
    const { replicas } = await cluster.status();
    await Promise.all(replicas.map(({ id }) => tell(id)));
  };
  return {
    pause: () => tellAll((id) => cluster.admin.pause(id)),
    resume: async () => {
      await tellAll((id) => cluster.admin.resume(id));
      // The first answer after it, so that no round begins with waiting for one.
      await cluster.kv.has('resumed');
    },
  };
}
