// What an actor counts, and how others get to see it: plain numbers of its own, copied into shared memory now and then.

import { head } from '../../protocol/log.js';
import type { ReplicaState } from '../../protocol/state.js';
import type { InLink, OutLink } from '../../transport/link.js';
import { PLACES, type ReplicaCounters } from '../../transport/mesh.js';
import type { TimedServices } from './pauses.js';
import type { ThreadTimes } from './thread-times.js';

/** While there is work; before sleep it is done as well. After every pass it would take a tenth of a short one. */
const PUBLISH_MS = 1;

export class ActorCounters {
  passes = 0;
  entries = 0;
  sleeps = 0;
  readsOnLease = 0;
  pagesFetched = 0;
  bytesFetched = 0;
  readonly #shared: ReplicaCounters;
  readonly #state: ReplicaState;
  readonly #services: TimedServices | null;
  readonly #times: ThreadTimes;
  #publishedMs = 0;

  constructor(
    shared: ReplicaCounters,
    state: ReplicaState,
    services: TimedServices | null,
    times: ThreadTimes,
  ) {
    this.#shared = shared;
    this.#state = state;
    this.#services = services;
    this.#times = times;
  }

  passed(nowMs: number): void {
    if (nowMs - this.#publishedMs < PUBLISH_MS) return;
    this.#publishedMs = nowMs;
    this.publish();
  }

  publish(): void {
    const shared = this.#shared;
    const state = this.#state;
    const services = this.#services;
    shared.put(PLACES.passes, this.passes);
    shared.put(PLACES.entriesExecuted, this.entries);
    shared.put(PLACES.requestsExecuted, services?.requests ?? 0);
    shared.put(PLACES.readsExecuted, services?.reads ?? 0);
    shared.put(PLACES.readsOnLease, this.readsOnLease);
    shared.put(PLACES.opNumber, head(state.log));
    shared.put(PLACES.commitNumber, state.commit);
    shared.put(PLACES.appliedNumber, state.applied);
    shared.put(PLACES.view, state.view);
    shared.put(PLACES.logBytes, state.log.bytes);
    shared.put(PLACES.storeBytes, services?.usedBytes ?? 0);
    shared.put(PLACES.sleeps, this.sleeps);
    shared.put(PLACES.logStart, state.log.start);
    shared.put(PLACES.checkpointOp, state.checkpoints[state.checkpoints.length - 1]?.op ?? 0);
  }

  /** The slower half, which looks at every link and asks the system. */
  publishTraffic(
    totals: TrafficTotals,
    eachLink: (visit: (inbound: InLink, outbound: OutLink) => void) => void,
  ): void {
    let framesIn = 0;
    let framesOut = 0;
    let bytesIn = 0;
    let bytesOut = 0;
    let { framesDropped, framesCorrupt } = totals;
    eachLink((inbound, outbound) => {
      framesIn += inbound.framesIn;
      bytesIn += inbound.bytesIn;
      framesOut += outbound.framesOut;
      bytesOut += outbound.bytesOut;
      framesDropped += inbound.bad;
      framesCorrupt += inbound.corrupt;
    });
    const shared = this.#shared;
    shared.put(PLACES.framesIn, framesIn);
    shared.put(PLACES.framesOut, framesOut);
    shared.put(PLACES.bytesIn, bytesIn);
    shared.put(PLACES.bytesOut, bytesOut);
    shared.put(PLACES.framesDropped, framesDropped);
    shared.put(PLACES.framesCorrupt, framesCorrupt);
    shared.put(PLACES.pagesFetched, this.pagesFetched);
    shared.put(PLACES.bytesFetched, this.bytesFetched);
    shared.put(PLACES.passP99Micros, totals.passP99Micros);
    shared.put(PLACES.passMaxMicros, totals.passMaxMicros);
    shared.put(PLACES.checkpointP99Micros, totals.checkpointP99Micros);
    shared.put(PLACES.checkpointMaxMicros, totals.checkpointMaxMicros);
    shared.put(PLACES.cpuNs, this.#times.onCoreNs());
  }
}

/** What is counted elsewhere. */
interface TrafficTotals {
  readonly framesDropped: number;
  readonly framesCorrupt: number;
  readonly passP99Micros: number;
  readonly passMaxMicros: number;
  readonly checkpointP99Micros: number;
  readonly checkpointMaxMicros: number;
}
