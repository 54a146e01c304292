// A digest over everything that happens in a run: the same seed must give the same one in another process and on another version
// of the engine.

import type { Effect, Event } from '../protocol/effect.js';
import type { ReplicaState } from '../protocol/state.js';

const EVENTS: readonly Event['type'][] = [
  'boot',
  'message',
  'client',
  'tick',
  'endOfPass',
  'execute',
  'idle',
  'hint',
  'detach',
];

export class Fingerprint {
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;

  word(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul(this.#high ^ this.#low ^ (this.#low >>> 15), 0x85ebca6b) ^ word;
  }

  text(text: string): void {
    for (let at = 0; at < text.length; at++) this.word(text.charCodeAt(at));
  }

  /** One step of a replica: what happened, what it sent to whom, and where that left it. */
  step(id: number, event: Event, effects: readonly Effect[], state: ReplicaState): void {
    this.word(id * 16 + EVENTS.indexOf(event.type));
    for (const effect of effects) {
      if (effect.type === 'send') {
        this.word(effect.to);
        this.text(effect.message.kind);
        this.word(effect.message.view);
      } else this.text(effect.type);
    }
    this.word(state.view);
    this.word(state.commit);
    this.word(state.applied);
    const { entries } = state.log;
    if (entries.length > 0) this.word(entries.chainAt(entries.length - 1)[0]);
  }

  /** Sixteen hexadecimal digits. */
  toString(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
    return hex(this.#high) + hex(this.#low);
  }
}
