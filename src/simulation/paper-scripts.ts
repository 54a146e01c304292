// The two published defects of VR Revisited as scripts: the same network, the same crashes, whether the defect is there or
// not. Tests play them for their invariants; the command line has them told (paper-defects.ts).

import type { Effect, Event } from '../protocol/effect.js';
import { head } from '../protocol/log.js';
import type { MessageKind, StartViewChange } from '../protocol/message.js';
import { nextRequest, openRequests } from '../protocol/request-body.js';
import type { ReplicaState } from '../protocol/state.js';
import { fromUtf8 } from '../service/utf8.js';
import type { Rule } from './network.js';
import type { ReplicaActor } from './replica-actor.js';
import { Story } from './story.js';
import type { StoryMachine } from './story-machine.js';
import { depose } from './words.js';

/** Hears what happens, one sentence at a time. */
export type Tell = (line: string) => void;

const UNTOLD: Tell = () => undefined;

/** A story that goes on when an invariant breaks, to show what comes of it. */
export class ToldStory extends Story {
  /** What broke first. */
  broken: string | null = null;
  /** Set when the first invariant breaks. */
  onBroken: Tell = UNTOLD;

  override stepped(
    actor: ReplicaActor<StoryMachine>,
    event: Event,
    effects: readonly Effect[],
  ): void {
    this.watch(() => super.stepped(actor, event, effects));
  }

  protected override afterRound(): void {
    this.watch(() => super.afterRound());
  }

  protected watch(check: () => void): void {
    try {
      check();
    } catch (error) {
      const { message } = error as Error;
      if (this.broken !== null) return;
      this.broken = message;
      this.onBroken(message);
    }
  }
}

function broken(s: Story): boolean {
  return s instanceof ToldStory && s.broken !== null;
}

/** What the script relies on; once an invariant is broken nothing can be relied on. */
function demand(s: Story, condition: boolean, what: string): void {
  if (!condition && !broken(s)) throw s.failure(`the story expects that ${what}`);
}

// ── what replicas hold ──

/** Keys that the entries of a log write, in order; `*`: known to be committed. */
function contents(state: ReplicaState): string {
  const keys: string[] = [];
  for (const entry of state.log.entries) {
    const cursor = openRequests(entry.body);
    while (nextRequest(cursor)) {
      if (cursor.type !== 'op') continue;
      const [, , key = ''] = fromUtf8(entry.body, cursor.from, cursor.to).split('|');
      keys.push(entry.op <= state.commit ? `${key}*` : key);
    }
  }
  return `[${keys.join(' ')}]`;
}

/** `R1 view-change in view 2, last normal in 0, log [a b* c]` */
function holdings(s: Story, id: number): string {
  const state = s.actors[id]?.replica.state;
  if (state === undefined) return `R${id} is down`;
  const { status, view, lastNormal } = state;
  if (status === 'recovering') return `R${id} recovering, its register says view ${view}`;
  const last = status === 'normal' ? '' : `, last normal in view ${lastNormal.view}`;
  const leads = status === 'normal' && view % s.actives === id ? ' primary' : '';
  return `R${id} ${status}${leads} in view ${view}${last}, log ${contents(state)}`;
}

function tellAll(s: Story, tell: Tell): void {
  for (let id = 0; id < s.replicas; id++) tell(`    ${holdings(s, id)}`);
}

// ── a later view is heard of, and its log is not here ──

const KEYS = ['a', 'b', 'c'];

/**
 * E1 to E3. R2 starts view 2, R1 hears of it by one kind of message only, and forms view 3 with those who heard nothing.
 * `misses` lack what was acknowledged in view 0. Of five, nobody in view 3 knows the commit number.
 */
export function lateJoiner(
  s: Story,
  misses: readonly string[],
  heard: MessageKind,
  tell: Tell = UNTOLD,
): void {
  const rest = s.replicas === 3 ? ['R0'] : ['R3', 'R4'];
  const before = head(s.state('R1').log);
  s.drop({ from: 'R0', to: misses, kinds: 'prepare' });
  s.drop({ from: 'R0', kinds: 'commit' });
  for (const key of KEYS) s.put(key, 1);
  s.settle();
  demand(s, s.state('R0').commit === before + 3, 'R0 has committed a, b and c');
  demand(s, s.state('R1').commit === before, 'R1 does not know it');
  tell('A client writes a, b and c. A quorum holds them, and the client has its answers.');
  tell(`To ${misses.join(' and ')} the entries were lost; that they are committed only R0 knows.`);
  tellAll(s, tell);
  s.drop({ from: 'R1' });
  s.drop({ to: 'R1', where: ({ kind }) => kind !== heard });
  s.drop({ from: 'R2', to: rest, kinds: ['startView', 'prepare', 'commit'] });
  if (s.replicas === 5) {
    s.crash('R0');
    tell('R0 dies. R1 is cut off, except that it can hear heartbeats.');
  }
  depose(s, ['R2', ...rest]);
  depose(s, ['R2', ...rest]);
  s.until(() => s.state('R2').status === 'normal' && s.state('R1').view === 2, 30);
  tell(
    `The others change to view 2 and R2 leads it. To ${rest.join(' and ')} its StartView is lost.`,
  );
  tell('R1 hears a heartbeat of view 2, so it knows of the view, but has not its log.');
  tellAll(s, tell);
  s.crash('R2', { mute: true });
  tell('R2 dies before anybody else has heard of its view. The network is whole again.');
  s.heal();
  s.newView(3);
  tell('Whoever is left changes to view 3, which begins with the best log among them.');
  tellAll(s, tell);
  if (broken(s)) {
    tell('a, b and c were acknowledged, and view 3 goes on without them.');
    return;
  }
  s.converge();
  for (const key of KEYS) s.expect(key, 1);
  tell('Everybody comes back, and a, b and c are still there.');
}

/** The published state transfer, 5.2 (E1). */
export function truncateEarly(s: Story, tell: Tell = UNTOLD): void {
  lateJoiner(s, s.replicas === 3 ? ['R2'] : ['R2', 'R4'], 'commit', tell);
}

// ── a vote outlives the memory of who cast it ──

/**
 * R2 enters view 1 alone and says so, but everything it says is held back; then it loses its memory. `forced`: it hears this
 * message instead of votes.
 */
export function promiseAndForget(
  s: Story,
  forced: StartViewChange | null,
  tell: Tell = UNTOLD,
): Rule {
  const ghosts = s.hold({ from: 'R2' });
  if (forced !== null) s.inject(forced.from, 'R2', forced);
  else {
    const votes = s.hold({ from: 'R1', kinds: 'startViewChange' });
    s.tell('R1', { kind: 'suspect', id: 0 });
    s.run(1);
    s.crash('R1');
    votes.end();
    s.restart('R1');
    s.until(() => s.state('R1').status === 'normal');
    tell('R1 votes for view 1; the vote is slow. R1 loses its memory and recovers into view 0.');
    s.tell('R2', { kind: 'suspect', id: 0 });
    s.release(votes);
  }
  s.until(() => s.registers[2]?.view === 1, 20);
  demand(s, s.state('R0').view === 0 && s.state('R1').view === 0, 'nobody else has left view 0');
  s.crash('R2');
  ghosts.end();
  tell("R2 votes too, and R1's old vote arrives: a quorum. R2 enters view 1.");
  tell('What it promises R1, who would lead view 1, is slow. R2 loses its memory.');
  return ghosts;
}

/** The published recovery, 4.3 (E8). */
export function staleLife(s: Story, tell: Tell = UNTOLD): void {
  tell('Never more than one replica is down.');
  const ghosts = promiseAndForget(s, null, tell);
  tell('R2 comes back and asks the others, who are in view 0. A client writes a.');
  s.drop({ from: 'R0', to: 'R1', kinds: ['prepare', 'commit'] });
  s.restart('R2');
  const call = s.put('a', 1);
  s.until(() => call.code !== null && s.state('R2').status === 'normal', 60, 'a recovery');
  const { view } = s.state('R2');
  if (view === 0) {
    tell('R2 remembers no promise and recovers into view 0. The entry is lost on the way to R1.');
    tell('R0 and R2 hold a, which is a quorum, and the client has its answer.');
  } else {
    tell('Its question says what its register holds: view 1. A quorum wanted it: they follow.');
    tell('R2 recovers into view 1, and the client has its answer.');
  }
  tellAll(s, tell);
  demand(s, view === 1, 'R2 is not normal below its promise');
  tell('What R2 sent before it lost its memory arrives at last.');
  s.release(ghosts);
  s.until(() => s.state('R1').status === 'normal' && s.state('R1').view === 1, 20);
  if (broken(s)) {
    tell("With R2's old promise R1 has its quorum, {R1, R2}, and view 1 begins with R1's log.");
    tellAll(s, tell);
    tell('a was acknowledged, and view 1 goes on without it.');
    return;
  }
  s.run(100);
  demand(s, s.view === 1 && s.primary === 1, 'old messages change nothing');
  tell('Nothing comes of it: view 1 has begun, and a is in its log.');
  tellAll(s, tell);
  s.converge();
  s.expect('a', 1);
  tell('Everybody comes back, and a is still there.');
}
