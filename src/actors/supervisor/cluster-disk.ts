// The directory of a cluster, seen by its supervisor: which cluster it is, who may start from what, and the threads that write the
// replicas' stores, which outlive the threads of the replicas.

import { ChainHasher } from '../../protocol/chain.js';
import type { Configuration } from '../../protocol/configuration.js';
import type { Digest64, ReplicaId } from '../../protocol/types.js';
import { PAGE_BYTES } from '../../service/paged-heap.js';
import { DataDirectory } from '../../storage/directory.js';
import { StorageError } from '../../storage/errors.js';
import { ExitGuard } from '../../storage/exit-guard.js';
import { RegisterStore } from '../../storage/register.js';
import { StoreHost } from '../../storage/store-host.js';
import { REPLICA_BLOCK_BYTES, REPLICA_WORDS } from '../../transport/layout.js';
import { type MeshMemory, ReplicaBlock } from '../../transport/mesh.js';
import type { DiskBoot } from '../boot.js';
import { VrError } from '../errors.js';
import type { DiskSettings } from '../options.js';

export interface ClusterDiskOptions {
  readonly settings: DiskSettings;
  readonly configuration: Configuration;
  /** Of a new cluster. */
  readonly clusterId: number;
  readonly digest64: Digest64;
  readonly mesh: MeshMemory;
  readonly guard: SharedArrayBuffer;
}

interface Place {
  readonly register: RegisterStore;
  readonly host: StoreHost;
  /** A thread of it has run in this process. */
  launched: boolean;
  /** Its next thread begins with an empty store. */
  wipe: boolean;
}

export class ClusterDisk {
  readonly clusterId: number;
  readonly gen: number;
  readonly #settings: DiskSettings;
  readonly #directory: DataDirectory;
  /** By replica; null: its register cannot be read, so it never runs again (D21). */
  readonly #places = new Map<ReplicaId, Place | null>();
  readonly #cold: boolean;
  /** Whoever had it open last may have acknowledged more than the stores hold. */
  readonly #loose: boolean;

  /** @throws {VrError} VR_DIR_LOCKED, VR_VERSION_MISMATCH, VR_CONFIG, VR_CORRUPT_LOG, VR_DISK */
  constructor(options: ClusterDiskOptions) {
    const { settings, configuration, mesh } = options;
    this.#settings = settings;
    const guard = new ExitGuard(options.guard);
    this.#directory = typed(() =>
      DataDirectory.open({
        path: settings.dir,
        guard,
        create: () => ({
          clusterId: options.clusterId,
          configuration,
          pageBytes: PAGE_BYTES,
          origin: new ChainHasher(options.digest64).origin(options.clusterId),
        }),
      }),
    );
    try {
      compare(this.#directory.content.configuration, configuration, settings.dir);
      for (const { id } of configuration.members) this.#places.set(id, this.#open(id, mesh, guard));
      this.#cold = [...this.#places.values()].some(
        (place) => (place?.register.read().start ?? 0) > 0,
      );
      const { gen, loose = false } = this.#directory.content;
      // H6: what was acknowledged and not flushed may be gone, so nothing said before counts any more.
      this.#loose = loose;
      if (this.#cold && loose) typed(() => this.#directory.update({ gen: gen + 1 }));
      if (!loose && settings.fsync !== 'batch')
        typed(() => this.#directory.update({ loose: true }));
    } catch (error) {
      this.#directory.close();
      throw error;
    }
    this.clusterId = this.#directory.content.clusterId;
    this.gen = this.#directory.content.gen;
  }

  #open(id: ReplicaId, mesh: MeshMemory, guard: ExitGuard): Place | null {
    const files = this.#directory.files(id);
    let register: RegisterStore;
    try {
      register = new RegisterStore(files.register, id);
    } catch (error) {
      if (error instanceof StorageError && error.details['dead'] === true) return null;
      throw error;
    }
    const block = new ReplicaBlock(mesh, id);
    const { start, stamp } = register.read();
    if (start > 0) block.start = start;
    if (stamp !== null) block.writeRegister(stamp);
    const at = (id * REPLICA_BLOCK_BYTES) / 4 + REPLICA_WORDS.doorbell;
    const host = new StoreHost({
      files,
      mode: this.#settings.fsync,
      intervalMs: this.#settings.intervalMs,
      guard,
      bell: { memory: mesh.blocks, at },
    });
    return { register, host, launched: false, wipe: false };
  }

  /** True: the id has lost what it promised (D21). */
  isDead(id: ReplicaId): boolean {
    return this.#places.get(id) === null;
  }

  /** @throws {VrError} VR_CORRUPT_LOG */
  assertAlive(id: ReplicaId): void {
    if (!this.isDead(id)) return;
    throw new VrError(
      'VR_CORRUPT_LOG',
      `the register of replica ${id} cannot be read: its id is dead`,
      { details: { replica: id } },
    );
  }

  /** H1: the start counter is durable before the thread begins. @throws {VrError} VR_DISK */
  launch(id: ReplicaId, start: number): DiskBoot {
    this.assertAlive(id);
    const place = this.#places.get(id) as Place;
    typed(() => place.register.raise({ start }));
    const first = !place.launched;
    const { wipe } = place;
    place.wipe = false;
    place.launched = true;
    return {
      link: place.host.link,
      register: this.#directory.files(id).register,
      gen: this.gen,
      durability: this.#settings.fsync === 'batch' ? 'sync' : 'async',
      // P4: complete, or what all start from. A thread that dies alone may have acknowledged more than it had handed over.
      trusted: this.#settings.fsync === 'batch' || (first && this.#cold),
      cold: first && this.#cold && this.#loose,
      first,
      wipe,
    };
  }

  /** E42: what its store holds is of no use. */
  giveUp(id: ReplicaId): void {
    const place = this.#places.get(id);
    if (place) place.wipe = true;
  }

  /**
   * Flushes what was handed over. No thread of a replica may run any more. `whole`: every replica had been normal, so that all stores
   * are of one history.
   */
  async close(whole: boolean): Promise<void> {
    const places = [...this.#places.values()].filter((place) => place !== null);
    const errors = await Promise.all(places.map(({ host }) => host.stop()));
    for (const { register } of places) register.close();
    const flushed = this.#settings.fsync !== 'none' && errors.every((error) => error === null);
    if (whole && flushed && this.#directory.content.loose === true)
      this.#directory.update({ loose: false });
    this.#directory.close();
  }
}

/** What a directory was made with cannot be changed by an option. */
function compare(stored: Configuration, wanted: Configuration, dir: string): void {
  const count = (configuration: Configuration, role: string): number =>
    configuration.members.filter((member) => member.role === role).length;
  const differs = (name: string, is: number, asked: number): void => {
    if (is === asked) return;
    throw new VrError('VR_CONFIG', `${dir} was made with ${name} ${is}, not ${asked}`, {
      details: { path: name, stored: is, value: asked },
    });
  };
  differs('replicas', stored.members.length, wanted.members.length);
  differs('witnesses', count(stored, 'witness'), count(wanted, 'witness'));
  differs('limits.storeBytes', stored.storeBytes, wanted.storeBytes);
}

/** As users know errors. */
function typed<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof StorageError ? vrError(error) : error;
  }
}

export function vrError(error: StorageError): VrError {
  return new VrError(error.code, error.message, { details: error.details, cause: error });
}
