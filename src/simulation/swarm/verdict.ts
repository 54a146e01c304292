// What must be true when a run has ended.

import { checkConverged } from '../../protocol/invariants.js';
import { head } from '../../protocol/log.js';
import type { SessionNumber } from '../../protocol/types.js';
import { whyNot } from '../linearizability/witness.js';
import { checkLinearizable, type Operation } from '../linearizability.js';
import { type Executed, placeOf } from '../recording-machine.js';
import { operationsOf } from './calls.js';
import type { Run } from './run.js';

/** Steps of the search for a linear order, for one run. */
const SEARCH_STEPS = 30_000;

/** All of the healed majority normal in one view with everything executed. */
export function converged(run: Run): boolean {
  const states = run.core.map((actor) => actor.replica.state);
  const first = states[0];
  if (first === undefined || states.length + run.broken.size < run.replicas) return false;
  return (
    states.some((state) => state.serving && !state.abdicating) &&
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

/** L2: every call of a living client has its answer; a full log may keep writes waiting (BP6). */
export function answered(run: Run): boolean {
  const full = run.logIsFull;
  return run.clients.every((client) =>
    full
      ? client.openCalls === 0 || client.logFull
      : client.openCalls === 0 && client.waiting.length === 0,
  );
}

/** @throws naming the invariant that does not hold. */
export function checkEnd(run: Run): number {
  const { core } = run;
  checkConverged(core.map((actor) => actor.replica.state));
  const actives = core.filter((actor) => actor.machine !== null);
  const reference = actives[0];
  if (reference === undefined) throw new Error('nobody executes');
  const digest = reference.machine?.digest();
  const rows = (id: number): string =>
    JSON.stringify([...(run.actors[id]?.replica.state.table.rows ?? [])]);
  for (const actor of actives) {
    if (actor.machine?.digest() !== digest)
      throw new Error(`I11: the states of R${actor.id} and R${reference.id} differ`);
    if (rows(actor.id) !== rows(reference.id))
      throw new Error(`I11: the client tables of R${actor.id} and R${reference.id} differ`);
  }
  const executed = reference.machine?.executed ?? new Map<SessionNumber, Executed[]>();
  for (const [session, done] of executed)
    checkSession(session, run.submitted.get(session) ?? [], done);
  checkAcknowledged(run, executed);
  return checkHistory(run, executed);
}

/** I12: what was executed of a session is what it submitted, in order, each once, without a gap. */
function checkSession(
  session: SessionNumber,
  submitted: readonly number[],
  executed: readonly Executed[],
): void {
  for (const [at, { digest }] of executed.entries())
    if (submitted[at] !== digest)
      throw new Error(
        `I12: request ${at + 1} of session ${session} is not what was executed in its place`,
      );
}

function checkAcknowledged(
  run: Run,
  executed: ReadonlyMap<SessionNumber, readonly Executed[]>,
): void {
  const acknowledged = new Map<SessionNumber, number>();
  for (const call of run.calls)
    if (call.kind === 'write' && (call.code === 'ok' || call.code === 'replyDropped'))
      acknowledged.set(call.session, (acknowledged.get(call.session) ?? 0) + 1);
  for (const [session, count] of acknowledged) {
    const done = executed.get(session)?.length ?? 0;
    if (done < count)
      throw new Error(`I2: session ${session} has ${count} acknowledged writes, ${done} executed`);
  }
}

/**
 * I13, I19. The order in which the replicas say that they executed must explain what the clients saw; times and results are
 * the clients'. Where it does not, a search for any order says whether the system or its log is to blame.
 */
function checkHistory(run: Run, executed: ReadonlyMap<SessionNumber, readonly Executed[]>): number {
  const history: Operation[] = [];
  const placed: { place: number; operation: Operation }[] = [];
  for (const call of run.calls) {
    const place =
      call.kind === 'read'
        ? placeOf(call.number + 1, 0) - 0.5
        : executed.get(call.session)?.[call.number]?.place;
    for (const operation of operationsOf(call)) {
      history.push(operation);
      if (place !== undefined) placed.push({ place, operation });
    }
  }
  checkOwnWrites(run, executed);
  placed.sort((a, b) => a.place - b.place || a.operation.call - b.operation.call);
  const order = placed.map(({ operation }) => operation);
  const reason = whyNot(history, order);
  const { verdict, explanation } = checkLinearizable(history, { stepsMax: SEARCH_STEPS });
  // The order is a proof, and the search may give up; but it must not claim the opposite.
  if (reason === null && verdict !== 'violation') return history.length;
  throw new Error(
    `I13: ${reason ?? 'a good order'}; the history is ${verdict}: ${explanation ?? 'another order'}`,
  );
}

/** I14, RD0: a read sees every write that its client submitted before it, answered or not. */
function checkOwnWrites(run: Run, executed: ReadonlyMap<SessionNumber, readonly Executed[]>): void {
  // Once the log is full, writes may wait for ever, and reads no longer wait for them (BP6).
  if (run.plan.limits.logBytes !== undefined) return;
  for (const client of run.allClients) {
    let session = 0;
    let own = 0;
    for (const call of client.calls) {
      // What an earlier session submitted is of unknown outcome: the new one waits for nothing of it.
      if (call.session !== session) own = 0;
      session = call.session;
      if (call.kind === 'write') own = executed.get(session)?.[call.number]?.place ?? own;
      else if (
        call.level?.session !== false &&
        call.outputs !== null &&
        placeOf(call.number + 1, 0) <= own
      )
        throw new Error(`I14: a read of client ${client.address} missed a write of its own`);
    }
  }
}
