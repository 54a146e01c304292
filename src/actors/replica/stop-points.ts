// Where a replica can be made to stop dead, so that its thread is ended exactly there. The actor of a replica is built from parts;
// with faults it gets parts that look whether the point has come. Without faults none of this is loaded into its calls.

import type { MessagePort } from 'node:worker_threads';
import type { Replica } from '../../protocol/replica.js';
import type { ReplicaId } from '../../protocol/types.js';
import { type MeshMemory, ReplicaBlock } from '../../transport/mesh.js';
import { RingWriter } from '../../transport/ring.js';
import type { ReplicaNotice, StopPoint } from '../boot.js';

/** What an actor is built from besides its boot record. */
export interface ActorParts {
  /** Its own words. */
  block(mesh: MeshMemory, id: ReplicaId): ReplicaBlock;
  writer(memory: SharedArrayBuffer): RingWriter;
}

export const PLAIN_PARTS: ActorParts = {
  block: (mesh, id) => new ReplicaBlock(mesh, id),
  writer: (memory) => new RingWriter(memory),
};

export class StopPoints implements ActorParts {
  readonly #boot: {
    readonly id: ReplicaId;
    readonly start: number;
    readonly notices: MessagePort;
  };
  #replica: Replica | null = null;
  #point: StopPoint | null = null;
  #left = 0;
  /** A ring with claims that are not published yet. */
  #unpublished: RingWriter | null = null;

  constructor(boot: { readonly id: ReplicaId; readonly start: number; notices: MessagePort }) {
    this.#boot = boot;
  }

  /** The thread stops when it has come to `point` so many times. */
  arm(point: StopPoint, times: number): void {
    this.#point = point;
    this.#left = times;
  }

  /** Points that are states of the core are not seen before. */
  watch(replica: Replica): void {
    this.#replica = replica;
  }

  block(mesh: MeshMemory, id: ReplicaId): ReplicaBlock {
    return new WatchedBlock(mesh, id, this);
  }

  writer(memory: SharedArrayBuffer): RingWriter {
    return new WatchedWriter(memory, this);
  }

  onPass(): void {
    const state = this.#replica?.state;
    if (state === undefined) return;
    if (state.transfer !== null) this.at('inTransfer');
    else if (state.status === 'recovering') this.at('inRecovery');
  }

  onClaim(writer: RingWriter): void {
    this.at('afterClaim');
    if (this.#unpublished !== null && this.#unpublished !== writer) this.at('betweenEffects');
    this.#unpublished = writer;
  }

  onPublish(): void {
    this.#unpublished = null;
    this.at('afterPublish');
  }

  at(point: StopPoint): void {
    if (this.#point !== point || --this.#left > 0) return;
    const { id, start, notices } = this.#boot;
    notices.postMessage({ id, start, stoppedAt: point } satisfies ReplicaNotice);
    for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
}

class WatchedBlock extends ReplicaBlock {
  readonly #points: StopPoints;

  constructor(mesh: MeshMemory, id: ReplicaId, points: StopPoints) {
    super(mesh, id);
    this.#points = points;
  }

  override countPass(): void {
    super.countPass();
    this.#points.onPass();
  }

  override writeRegister(stamp: Parameters<ReplicaBlock['writeRegister']>[0]): void {
    super.writeRegister(stamp);
    this.#points.at('afterRegister');
  }
}

class WatchedWriter extends RingWriter {
  readonly #points: StopPoints;

  constructor(memory: SharedArrayBuffer, points: StopPoints) {
    super(memory);
    this.#points = points;
  }

  override claim(length: number, covered: number = length): number {
    const at = super.claim(length, covered);
    if (at >= 0) this.#points.onClaim(this);
    return at;
  }

  override publish(): boolean {
    const published = super.publish();
    if (published) this.#points.onPublish();
    return published;
  }
}
