// The clients of a cluster: their rings, and the end of their sessions when their threads are gone. It outlives every replica.

import type { MessagePort } from 'node:worker_threads';
import type { ClientAddress } from '../../protocol/types.js';
import {
  allocateClientLink,
  type ClientLinkMemory,
  clientDoorbell,
  type MeshMemory,
} from '../../transport/mesh.js';
import type { ClusterStatus } from '../api.js';
import type { AttachedClient, ClientBoot } from '../boot.js';
import { offer, type Port } from '../control.js';
import { VrError } from '../errors.js';
import type { Settings } from '../options.js';
import { endSession } from './undertaker.js';

/** What the registry needs of whoever runs the replicas. */
export interface RegistryHost {
  ended(): boolean;
  /** The replicas poll its rings from now on. */
  onJoined(client: AttachedClient): void;
  onLeft(address: ClientAddress): void;
  status(): Promise<ClusterStatus>;
}

interface Member {
  readonly client: AttachedClient;
  readonly name: string;
  leaving: boolean;
}

export class ClientRegistry {
  readonly #settings: Settings;
  readonly #mesh: MeshMemory;
  readonly #host: RegistryHost;
  readonly #members = new Map<ClientAddress, Member>();
  #nextAddress: ClientAddress = 1;

  constructor(settings: Settings, mesh: MeshMemory, host: RegistryHost) {
    this.#settings = settings;
    this.#mesh = mesh;
    this.#host = host;
  }

  get size(): number {
    return this.#members.size;
  }

  get clients(): AttachedClient[] {
    return [...this.#members.values()].map((member) => member.client);
  }

  /** As `share` or `attach` called them; who opened the cluster comes first. */
  get names(): string[] {
    return [...this.#members.values()].map((member) => member.name);
  }

  /** Of the clients of that name. */
  linksOf(name: string): ClientLinkMemory[] {
    return [...this.#members.values()]
      .filter((member) => member.name === name)
      .map((member) => member.client.link);
  }

  wakeAll(): void {
    for (const { client } of this.#members.values()) clientDoorbell(client.link).wake();
  }

  /** Rings for one more client. @throws {VrError} VR_OVERLOADED, VR_CLOSED */
  add(name: string): ClientBoot {
    const settings = this.#settings;
    if (this.#host.ended()) throw new VrError('VR_CLOSED', 'the cluster is closed');
    if (this.#members.size >= settings.clients)
      throw new VrError(
        'VR_OVERLOADED',
        `the cluster has limits.clients = ${settings.clients} clients already`,
        {
          retryable: true,
          details: { limit: 'clients', clients: settings.clients },
        },
      );
    const link = allocateClientLink({ replicas: settings.replicas, ringBytes: settings.ringBytes });
    const client: AttachedClient = { address: this.#nextAddress++, link };
    this.#members.set(client.address, { client, name, leaving: false });
    this.#host.onJoined(client);
    return {
      address: client.address,
      clusterName: settings.name,
      replicas: settings.replicas,
      actives: settings.replicas - settings.witnesses,
      mesh: this.#mesh,
      link,
      settings: settings.client,
    };
  }

  /** `clean`: the client has ended its session itself. */
  async remove(address: ClientAddress, clean: boolean): Promise<void> {
    const member = this.#members.get(address);
    if (member === undefined || member.leaving) return;
    member.leaving = true;
    if (!clean) await endSession(this.#mesh, member.client.link, () => this.#host.ended());
    this.#members.delete(address);
    this.#host.onLeft(address);
  }

  /** Serves a shared link: one client for as long as the port lives. */
  adopt(port: MessagePort): void {
    let address = 0;
    const link = {
      connect: (name: string): ClientBoot => {
        if (address !== 0)
          throw new VrError(
            'VR_CONFIG',
            'this link was used before: share() makes one for each client',
          );
        const boot = this.add(name);
        address = boot.address;
        return boot;
      },
      status: (): Promise<ClusterStatus> => this.#host.status(),
      leave: (clean: boolean): Promise<void> => this.remove(address, clean),
    };
    port.on('close', () => {
      // The thread has ended, or let go without a word: its session must not stay.
      if (address !== 0) void this.remove(address, false);
    });
    offer(link, port as unknown as Port);
  }
}
