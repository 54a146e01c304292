// The events of a cluster. Names and listeners are checked when they are given: one that is misspelt would never be called, and one that is
// no function would end the process when it is.

import type { ClusterEvents, TypedEventTarget } from './api.js';
import { checkSignal, config, oneOf, section, show } from './option-checks.js';

const NAMES = Object.keys({
  viewchange: 1,
  replicastate: 1,
  replicacrash: 1,
  quorumlost: 1,
  quorumrestored: 1,
  logpressure: 1,
  divergence: 1,
  storedamaged: 1,
  statetransfer: 1,
  close: 1,
} satisfies Record<keyof ClusterEvents, 1>);
const OPTION_NAMES = ['once', 'signal'];

type Name = keyof ClusterEvents & string;
type Options = { once?: boolean; signal?: AbortSignal };

export class ClusterEventTarget implements TypedEventTarget<ClusterEvents> {
  readonly #target = new EventTarget();

  protected dispatch<K extends Name>(type: K, detail: ClusterEvents[K]): void {
    this.#target.dispatchEvent(new CustomEvent(type, { detail }));
  }

  addEventListener<K extends Name>(
    type: K,
    listener: (event: CustomEvent<ClusterEvents[K]>) => void,
    options?: boolean | Options,
  ): void {
    checkName(type);
    checkListener(listener);
    if (typeof options !== 'boolean') checkOptions(options);
    this.#target.addEventListener(type, listener as (event: Event) => void, options);
  }

  removeEventListener<K extends Name>(
    type: K,
    listener: (event: CustomEvent<ClusterEvents[K]>) => void,
  ): void {
    checkName(type);
    checkListener(listener);
    this.#target.removeEventListener(type, listener as (event: Event) => void);
  }

  on<K extends Name>(
    type: K,
    listener: (detail: ClusterEvents[K]) => void,
    options?: Options,
  ): Disposable {
    checkListener(listener);
    const call = (event: CustomEvent<ClusterEvents[K]>): void => listener(event.detail);
    this.addEventListener(type, call, options);
    return { [Symbol.dispose]: () => this.removeEventListener(type, call) };
  }
}

function checkName(type: unknown): void {
  oneOf(type, 'event', NAMES);
}

function checkListener(listener: unknown): void {
  if (typeof listener === 'function') return;
  throw config(`listener must be a function, got ${show(listener)}`, { path: 'listener' });
}

function checkOptions(options: unknown): void {
  checkSignal(section(options, '', OPTION_NAMES)['signal']);
}
