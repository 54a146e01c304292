// Comparing roots (CP8): equal histories give equal pages, so actives whose roots at one op differ have run non-deterministic code or
// lost a bit. The primary collects roots from the acknowledgements; the root that most actives have is the agreed one, and whoever
// has another stops, the primary included. Where no majority can come about, two actives say, the primary's counts.

import { Divergence } from '../assert.js';
import { type Core, header, isWitness, leads, mark, members, send } from '../core.js';
import type { CheckpointRoot } from '../message.js';
import { type Chain, type OpNumber, type ReplicaId, sameChain } from '../types.js';

/** Ops whose roots are remembered: members may be some checkpoints apart. */
const REMEMBERED = 4;

/** Roots by op, then by replica. */
export type Roots = Map<OpNumber, Map<ReplicaId, Chain>>;

/** The agreed root of the newest op for which there is one. */
export interface AgreedRoot {
  readonly op: OpNumber;
  readonly root: Chain;
}

export function noteOwnRoot(core: Core, op: OpNumber, root: Chain): void {
  const { state } = core;
  note(state.roots, op, state.id, root);
  compareOwn(core);
  consider(core, op);
}

/** CP3: an acknowledgement names the newest checkpoint of its sender. */
export function noteRoot(core: Core, from: ReplicaId, op: OpNumber, root: Chain): void {
  if (op === 0 || core.state.roots.get(op)?.has(from) === true) return;
  note(core.state.roots, op, from, root);
  consider(core, op);
}

function note(roots: Roots, op: OpNumber, id: ReplicaId, root: Chain): void {
  const known = roots.get(op) ?? new Map<ReplicaId, Chain>();
  known.set(id, root);
  roots.set(op, known);
  if (roots.size <= REMEMBERED) return;
  roots.delete(Math.min(...roots.keys()));
}

/** Only the primary: everybody's reports come to it. */
function consider(core: Core, op: OpNumber): void {
  const { state } = core;
  if (!leads(core) || op <= (state.agreedRoot?.op ?? 0)) return;
  const reports = state.roots.get(op);
  const root = reports === undefined ? null : agreed(core, reports);
  if (root === null) return;
  state.agreedRoot = { op, root };
  for (const { id } of members(core))
    if (id !== state.id && !isWitness(core, id))
      send(core, id, { kind: 'checkpointRoot', ...header(core), cpOp: op, root });
  compareOwn(core);
}

function agreed(core: Core, reports: ReadonlyMap<ReplicaId, Chain>): Chain | null {
  const actives = members(core).filter((member) => member.role === 'active').length;
  const all = [...reports.values()];
  for (const root of all)
    if (2 * all.filter((other) => sameChain(other, root)).length > actives) return root;
  const own = reports.get(core.state.id);
  return all.length === actives && own !== undefined ? own : null;
}

export function onCheckpointRoot(core: Core, message: CheckpointRoot): void {
  const { state } = core;
  if (message.cpOp <= (state.agreedRoot?.op ?? 0)) return;
  state.agreedRoot = { op: message.cpOp, root: message.root };
  compareOwn(core);
}

function compareOwn(core: Core): void {
  const { id, agreedRoot, roots } = core.state;
  if (agreedRoot === null || core.mutations.rootsNotCompared === true) return;
  const own = roots.get(agreedRoot.op)?.get(id);
  if (own === undefined) return;
  mark(core, 'rootsCompared');
  if (!sameChain(own, agreedRoot.root))
    throw new Divergence(
      `CP8 replica ${id}: the checkpoint at op ${agreedRoot.op} has root ${hex(own)}, the others have ${hex(agreedRoot.root)}`,
    );
}

export function hex(root: Chain): string {
  return root.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}
