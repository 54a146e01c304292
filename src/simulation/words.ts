// Words that several stories share and that no story needs of its own.

import { head as headOf } from '../protocol/log.js';
import type { Story } from './story.js';

/** `count` increments by each client, not waited for. */
export function load(s: Story, count: number, key = 'n'): void {
  for (let round = 0; round < count; round++)
    for (let client = 0; client < s.clients.length; client++) s.incr(key, client);
}

export function head(s: Story, who: string): number {
  return headOf(s.state(who).log);
}

export function statusOf(s: Story, id: number): string {
  return s.actors[id]?.replica.state.status ?? 'down';
}

/** `who`, all in one view, leave it by suspicion; whoever leads it steps down. */
export function depose(s: Story, who: readonly string[]): void {
  const view = s.state(who[0] ?? 'R0').view;
  const primary = view % s.actives;
  if (who.includes(`R${primary}`)) s.tell(primary, { kind: 'stepDown' });
  s.tell(who, { kind: 'suspect', id: primary });
  s.until(() => who.every((name) => s.state(name).view > view), 20, `view ${view + 1}`);
}
