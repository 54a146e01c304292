// A schedule for people: what happens to whom, what it sends then, and how it stands afterwards.

import { describeMessage, describeReplica } from '../../protocol/describe.js';
import type { ReplicaState } from '../../protocol/state.js';
import {
  DROP,
  DUPLICATE,
  EXPIRE,
  kindOf,
  LOSE,
  requestOf,
  SAY_AGAIN,
  SEND_REQUEST,
} from './action.js';
import type { Worlds } from './worlds.js';

export interface ScheduleStep {
  /** `R2 receives commit R1 v1 op2 c1 hb1` */
  readonly what: string;
  /** `to R0: prepareOk R2 v1 op1 hb0` */
  readonly sends: readonly string[];
  /** `R2 active v1 normal op1 c1 a1`; null when the message alone is concerned. */
  readonly replica: string | null;
}

/** What `actions` mean in `worlds`, whose numbers they quote, from the first world on. */
export function describeSchedule(worlds: Worlds, actions: readonly number[]): ScheduleStep[] {
  let length = worlds.first();
  const world = worlds.next.slice();
  const steps: ScheduleStep[] = [];
  for (const action of actions) {
    steps.push(describeStep(worlds, world, action));
    const behind = worlds.take(world, length, action);
    if (behind < 0) break; // the last one: it breaks an invariant
    world.set(worlds.next.subarray(0, behind));
    length = behind;
  }
  return steps;
}

function describeStep(worlds: Worlds, world: Int32Array, action: number): ScheduleStep {
  const kind = kindOf(action);
  const mail = worlds.mailOf(action);
  if (mail !== null && (kind === DROP || kind === DUPLICATE)) {
    const fate = kind === DROP ? 'is lost' : 'is doubled';
    const what = `to R${mail.to}: ${describeMessage(mail.message)} ${fate}`;
    return { what, sends: [], replica: null };
  }
  const { id, step } = worlds.stepOf(world, action);
  const before = worlds.locals.at(step.from).state;
  const what =
    mail === null ? happening(action, before) : `receives ${describeMessage(mail.message)}`;
  const sends = step.sent.map((number) => {
    const { to, message } = worlds.mail.at(number);
    return `to R${to}: ${describeMessage(message)}`;
  });
  for (const effect of step.effects)
    if (effect.type === 'reply') sends.push(`to the client: ${describeMessage(effect.message)}`);
  const replica = step.violation ?? describeReplica(worlds.locals.at(step.to).state);
  return { what: `R${id} ${what}`, sends, replica };
}

function happening(action: number, before: ReplicaState): string {
  switch (kindOf(action)) {
    case EXPIRE:
      if (before.status === 'view-change') return `loses patience with view ${before.view}`;
      return before.peers.length > 0 && before.primaryStart === before.start
        ? 'hears from nobody and gives up leading'
        : 'hears nothing of its primary';
    case SAY_AGAIN:
      return 'says again what it owes';
    case LOSE:
      return 'loses its memory and starts again';
    case SEND_REQUEST:
      return `takes request ${requestOf(action)} of the client`;
    default:
      return '';
  }
}

/** One numbered line per event, indented ones for what is sent. */
export function formatSchedule(steps: readonly ScheduleStep[]): string {
  const lines: string[] = [];
  for (const [at, step] of steps.entries()) {
    lines.push(`${String(at + 1).padStart(3)}. ${step.what}`);
    for (const sent of step.sends) lines.push(`       ${sent}`);
    if (step.replica !== null) lines.push(`     = ${step.replica}`);
  }
  return lines.join('\n');
}
