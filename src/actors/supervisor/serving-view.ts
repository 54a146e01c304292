// Which view serves the cluster; and once it is left, since when and why, until the next one serves.

import type { ViewReason } from '../../protocol/effect.js';
import type { ClusterEvents, ViewInfo } from '../api.js';

export class ServingView {
  #info: ViewInfo | null = null;
  #leftAt = -1;
  #reason: ViewReason | null = null;
  #changes = 0;

  /** The last one that served, or null before any did. */
  get info(): ViewInfo | null {
    return this.#info;
  }

  /** It was left, and no other one serves yet. */
  get isLeft(): boolean {
    return this.#leftAt >= 0;
  }

  /** How often another one came after the first. */
  get changes(): number {
    return this.#changes;
  }

  /** The first who leaves knows when, and mostly why; `higher-view` is said by those who follow others. */
  leave(reason: ViewReason, nowMs: number): void {
    if (this.#leftAt < 0) this.#leftAt = nowMs;
    if (this.#reason === null || this.#reason === 'higher-view') this.#reason = reason;
  }

  /** @returns what users are told, or null of the first one */
  begin(info: ViewInfo, nowMs: number): ClusterEvents['viewchange'] | null {
    const first = this.#info === null;
    const tookMs = this.#leftAt < 0 ? 0 : nowMs - this.#leftAt;
    const reason = this.#reason ?? 'higher-view';
    this.#info = info;
    this.#leftAt = -1;
    this.#reason = null;
    if (first) return null;
    this.#changes++;
    return { ...info, reason, tookMs };
  }
}
