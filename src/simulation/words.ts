// Words that several stories share and that no story needs of its own.

import type { Story } from './story.js';

/** `count` increments by each client, not waited for. */
export function load(s: Story, count: number, key = 'n'): void {
  for (let round = 0; round < count; round++)
    for (let client = 0; client < s.clients.length; client++) s.incr(key, client);
}

export function head(s: Story, who: string): number {
  return s.state(who).log.entries.length;
}

export function statusOf(s: Story, id: number): string {
  return s.actors[id]?.replica.state.status ?? 'down';
}
