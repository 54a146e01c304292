// What an administrator may ask of a running cluster: it says why not, and waits until it is done. How threads end and start is the
// supervisor's affair.

import type { Configuration } from '../../protocol/configuration.js';
import type { ClusterStatus, ViewInfo } from '../api.js';
import { VrError } from '../errors.js';
import type { Changes } from './changes.js';
import type { ClientRegistry } from './client-registry.js';
import { permanentLoss, type QuorumWatch } from './quorum-watch.js';
import type { Seat } from './seat.js';
import type { ServingView } from './serving-view.js';

export interface AdministrationHost {
  readonly configuration: Configuration;
  readonly seats: readonly Seat[];
  readonly clients: ClientRegistry;
  readonly view: ServingView;
  readonly quorum: QuorumWatch;
  readonly changes: Changes;
  /** @throws {VrError} VR_CONFIG */
  seat(id: number): Seat;
  /** @throws {VrError} VR_CORRUPT_LOG of an id that has lost what it promised */
  assertAlive(seat: Seat): void;
  terminate(seat: Seat): Promise<void>;
  /** Of a seat without a thread. */
  restart(seat: Seat): void;
  isLost(): boolean;
  isStopping(): boolean;
}

export class Administration {
  readonly #host: AdministrationHost;

  constructor(host: AdministrationHost) {
    this.#host = host;
  }

  async kill(id: number): Promise<void> {
    await this.#host.terminate(this.#host.seat(id));
  }

  setPaused(id: number, paused: boolean): void {
    const { block } = this.#host.seat(id);
    block.paused = paused;
    block.doorbell.ring();
  }

  async restart(id: number): Promise<void> {
    const host = this.#host;
    const seat = host.seat(id);
    if (host.isLost()) throw permanentLoss();
    host.assertAlive(seat);
    const start = seat.block.start;
    if (seat.worker !== null) this.#checkBudget(seat);
    await host.terminate(seat);
    await host.changes.until(() => seat.worker === null || seat.block.start > start);
    if (seat.block.start === start) host.restart(seat);
    await this.#untilOver(() => seat.block.start > start && seat.state === 'normal');
  }

  /** A restart forgets everything: it waits until a quorum of the others has it all. */
  #checkBudget(seat: Seat): void {
    const { quorum, seats } = this.#host;
    const { needed } = quorum;
    const normal = seats.filter((other) => other !== seat && other.state === 'normal').length;
    if (normal >= needed) return;
    throw new VrError(
      'VR_NO_QUORUM',
      `a restart of replica ${seat.id} needs ${needed} other normal replicas, there are ${normal}`,
      { retryable: true, details: { replica: seat.id, needed, normal } },
    );
  }

  async stepDown(): Promise<ViewInfo> {
    const { view, quorum, seat } = this.#host;
    const before = view.info;
    if (before === null)
      throw new VrError('VR_NO_QUORUM', 'no primary serves', { retryable: true });
    if (quorum.normal < quorum.needed)
      throw new VrError('VR_NO_QUORUM', 'too few replicas are normal for a view change', {
        retryable: true,
      });
    await seat(before.primary).control?.remote.stepDown();
    await this.#untilOver(() => (view.info?.view ?? 0) > before.view);
    return view.info ?? before;
  }

  /** Or until the cluster ends. @throws {VrError} when it is lost */
  async #untilOver(done: () => boolean): Promise<void> {
    const { changes, isLost, isStopping } = this.#host;
    await changes.until(() => done() || isLost() || isStopping());
    if (isLost()) throw permanentLoss();
  }

  async status(): Promise<ClusterStatus> {
    const { seats, configuration, view, clients, isLost } = this.#host;
    const replicas = await Promise.all(seats.map((seat) => seat.status(configuration)));
    const quorum = this.#host.quorum.needed;
    const able = replicas.filter(({ state, paused }) => state === 'normal' && !paused);
    const { epoch, view: number, primary } = view.info ?? { epoch: 0, view: 0, primary: 0 };
    const served = !view.isLeft && replicas[primary]?.paused === false;
    const healthy = !isLost() && served && able.length >= quorum;
    return { epoch, view: number, primary, healthy, quorum, replicas, clients: clients.names };
  }
}
