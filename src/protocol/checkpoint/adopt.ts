// The part of Install's switch that replaces the executed state by a fetched checkpoint (3.6 step 5). From here on the replica is as
// if it had executed everything up to the checkpoint's op, and taken that checkpoint itself.

import { assert, violated } from '../assert.js';
import type { Core } from '../core.js';
import type { Shadow } from './fetch.js';
import { pagesOf, SESSION_LIST } from './image.js';
import { noteOwnRoot } from './roots.js';
import { decodeRows } from './session-pages.js';

export function adopt(core: Core, shadow: Shadow): void {
  const { state } = core;
  const pages = pagesOf(core);
  assert(pages !== null, 'a checkpoint for a replica without pages');
  if (!(shadow.op >= state.applied)) violated(`checkpoint ${shadow.op} is behind ${state.applied}`);
  const table = decodeRows(shadow.own[SESSION_LIST] ?? [], pages.pageBytes);
  pages.restore(shadow.from, shadow.content);
  pages.freeze(shadow.op);
  const { op, chain, ts, root, trees, own } = shadow;
  state.checkpoints = [{ op, chain, ts, root, trees, own }];
  state.taking = null;
  state.saving = null;
  state.basis = null;
  state.sincePoint = 0;
  state.pins.clear();
  if (core.mutations.tableNotTransferred !== true) state.table = table;
  state.applied = op;
  state.commit = Math.max(state.commit, op);
  state.commitMax = Math.max(state.commitMax, op);
  noteOwnRoot(core, op, root);
}
