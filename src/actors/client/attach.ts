// attach(): a client of a cluster that another thread has opened. It ends when its thread lets go, or when the cluster does.

import type { MessagePort } from 'node:worker_threads';
import type { Client, ClientOptions, ClusterLink, ClusterStatus } from '../api.js';
import type { ClientBoot } from '../boot.js';
import { attachSettings, type ClientDefaults, clientDefaults, drainTime } from '../call-options.js';
import { type Connection, connect, type Port } from '../control.js';
import { VrError } from '../errors.js';
import { checkEnvironment } from '../options.js';
import { ClientActor } from './client-actor.js';
import { ClientHandle, closed, DRAIN_MS, limited } from './client-handle.js';

/** What a client may ask over its link, whether it opened the cluster or joined it. */
interface LinkControl {
  connect(name: string): ClientBoot;
  status(): Promise<ClusterStatus>;
  /** `clean`: the client has ended its session itself. */
  leave(clean: boolean): Promise<void>;
}

interface LinkData {
  readonly viewstamp: 1;
  readonly port: MessagePort;
  readonly name: string;
}

/**
 * Joins a running cluster from another thread, over rings and with a session of its own.
 *
 * @param link what `cluster.share()` gave, transferred to this thread; each link serves one client.
 * @throws {VrError} VR_CONFIG (not a link, or used before), VR_OVERLOADED (`limits.clients`), VR_TIMEOUT (`joinTimeoutMs`), VR_ABORTED, VR_CLOSED
 */
export async function attach(link: ClusterLink, options: ClientOptions = {}): Promise<Client> {
  checkEnvironment();
  const { port, name, viewstamp } = (link ?? {}) as unknown as Partial<LinkData>;
  if (viewstamp !== 1 || port === undefined)
    throw new VrError(
      'VR_CONFIG',
      'attach needs the data of cluster.share(), with its port transferred',
      {
        details: { path: 'link' },
      },
    );
  const settings = attachSettings(options, name ?? 'attached');
  if (used.has(port))
    throw new VrError('VR_CONFIG', 'this link was used before: share() makes one for each client', {
      details: { path: 'link' },
    });
  used.add(port);
  return await join(port, settings, options.signal);
}

/** A closed port answers nothing, so that a second use would only time out. */
const used = new WeakSet<MessagePort>();

async function join(
  port: MessagePort,
  settings: ReturnType<typeof attachSettings>,
  signal: AbortSignal | undefined,
): Promise<Client> {
  const control = connect<LinkControl>(port as unknown as Port, closed);
  const { remote } = control;
  const { name, defaults, joinMs, ref } = settings;
  let actor: ClientActor | undefined;
  const enter = async (): Promise<ClientActor> => {
    const client = new ClientActor(await remote.connect(name));
    actor = client;
    // Gone without a word: the cluster was closed, or the thread that opened it has ended.
    port.on('close', () => client.abandon('closed'));
    await client.open();
    return client;
  };
  try {
    const client = await limited(enter, signal === undefined ? {} : { signal }, joinMs);
    // Only now: before, there was somebody who waited. Open calls have a timer.
    if (!ref) port.unref();
    const { settings: own } = client.boot;
    return attached(client, {
      port,
      remote,
      defaults: clientDefaults(defaults, own, own.viewTimeoutMs),
    });
  } catch (error) {
    actor?.abandon('closed');
    // The supervisor sees the port close, and takes back what it gave.
    port.close();
    throw VrError.is(error) && error.outcome === 'unknown' ? notJoined(error, joinMs) : error;
  }
}

/** Its session is ended, if there was one, and nothing was written. The link is used up, so the same call cannot succeed. */
function notJoined({ code, cause }: VrError, joinMs: number): VrError {
  const why = code === 'VR_TIMEOUT' ? `took longer than joinTimeoutMs = ${joinMs}` : 'was aborted';
  return new VrError(code, `joining ${why}; share() makes a link for another try`, {
    cause,
    details: { joinTimeoutMs: joinMs },
  });
}

function attached(
  actor: ClientActor,
  link: { port: MessagePort; remote: Connection<LinkControl>['remote']; defaults: ClientDefaults },
): Client {
  const { port, remote } = link;
  let closing: Promise<void> | null = null;
  const leave = async (drainMs: number): Promise<void> => {
    const clean = await actor.close(drainMs);
    await limited(() => remote.leave(clean), undefined, DRAIN_MS).catch(() => undefined);
    port.close();
  };
  return new ClientHandle(actor, {
    defaults: link.defaults,
    status: () => (closing === null ? remote.status() : Promise.reject(closed())),
    leave: async (options) => {
      const drainMs = drainTime(options ?? {}, DRAIN_MS);
      closing ??= leave(drainMs);
      await closing;
    },
  });
}
