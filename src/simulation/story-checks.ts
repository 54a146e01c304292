// What must be true when a story has ended: one view and one log (L6), equal states (I11), every acknowledged write executed
// exactly once and in its client's order (I12), and a history of reads and writes that one real-time order explains (I13, I14,
// I19: index reads see everything that was acknowledged before they began).

import { checkConverged } from '../protocol/invariants.js';
import { head } from '../protocol/log.js';
import type { Call, Story } from './story.js';
import { ABSENT, type Executed } from './story-machine.js';

/** All normal in one view, equal heads, everything executed, nobody on the way out. */
export function converged(story: Story): boolean {
  const { states } = story;
  const first = states[0];
  if (first === undefined || states.length !== story.replicas) return false;
  const served = states.some((state) => state.serving && !state.abdicating);
  return (
    served &&
    states.every(
      (state) =>
        state.status === 'normal' &&
        state.view === first.view &&
        head(state.log) === head(first.log) &&
        state.commit === head(state.log) &&
        (state.role === 'witness' || state.applied === state.commit),
    )
  );
}

export function checkHistory(story: Story): void {
  checkConverged(story.states);
  const actives = story.actors.flatMap((actor) => (actor?.machine ? [actor] : []));
  const reference = actives[0];
  if (reference?.machine === null || reference === undefined) throw new Error('nobody executes');
  const { history } = reference.machine;
  for (const actor of actives) {
    if (actor.machine?.digest() !== reference.machine.digest())
      throw story.failure(`I11: R${actor.id} and R${reference.id} differ`);
    const rows = (id: number): string => JSON.stringify([...story.state(id).table.rows]);
    if (rows(actor.id) !== rows(reference.id))
      throw story.failure(`I11: the client tables of R${actor.id} and R${reference.id} differ`);
  }
  const places = placesByTag(story, history);
  const { calls } = story;
  for (const call of calls) checkCall(story, call, { history, places });
  checkOrder(story, calls, places);
}

/** I12: each at most once. */
function placesByTag(story: Story, history: readonly Executed[]): Map<string, number> {
  const places = new Map<string, number>();
  for (const [at, { tag }] of history.entries()) {
    if (places.has(tag)) throw story.failure(`I12: ${tag} was executed twice`);
    places.set(tag, at + 1);
  }
  return places;
}

interface Past {
  readonly history: readonly Executed[];
  readonly places: ReadonlyMap<string, number>;
}

function checkCall(story: Story, call: Call, past: Past): void {
  const place = past.places.get(call.tag);
  if (call.code === null) {
    if (!call.abandoned) throw story.failure(`L2: ${call.tag} was never answered`);
    return;
  }
  if (call.kind === 'write') {
    if (call.code === 'replyDropped' && place === undefined)
      throw story.failure(`CS6: ${call.tag} was answered replyDropped and never executed`);
    if (call.code !== 'ok') return;
    if (place === undefined) throw story.failure(`I2: the acknowledged ${call.tag} is lost`);
    if (`${call.place}|${call.value}` !== past.history[place - 1]?.result)
      throw story.failure(`I12: ${call.tag} got the result of another execution`);
    if (place <= call.floor)
      throw story.failure(`I13: ${call.tag} took effect before what was acknowledged earlier`);
    return;
  }
  if (call.code !== 'ok') return;
  if (call.place < call.floor)
    throw story.failure(`I19: read ${call.tag} ran at ${call.place}, below ${call.floor}`);
  let value = ABSENT;
  for (let at = call.place; at > 0; at--) {
    const executed = past.history[at - 1];
    if (executed?.key !== call.key) continue;
    value = executed.value;
    break;
  }
  if (value !== call.value)
    throw story.failure(`I13: read ${call.tag} saw '${call.value}' instead of '${value}'`);
}

/** I12: what was executed of a session is a prefix of what was asked, in order; I14: reads see earlier own writes. */
function checkOrder(
  story: Story,
  calls: readonly Call[],
  places: ReadonlyMap<string, number>,
): void {
  const sessions = new Map<string, { last: number; broken: boolean; after: number }>();
  for (const call of calls) {
    if (call.session === 0) continue;
    const key = `${call.client}/${call.session}`;
    const seen = sessions.get(key) ?? { last: 0, broken: false, after: 0 };
    sessions.set(key, seen);
    const place = places.get(call.tag);
    if (call.kind === 'read') {
      if (call.level?.session === false) continue;
      if (call.code === 'ok' && call.place < seen.last)
        throw story.failure(`I14: read ${call.tag} missed an earlier write of its client`);
      continue;
    }
    if (place === undefined) {
      seen.broken = true;
      continue;
    }
    if (seen.broken || place < seen.last)
      throw story.failure(`I12: ${call.tag} was executed out of order`);
    seen.last = place;
  }
}
