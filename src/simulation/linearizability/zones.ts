// The order that unique values give: for a key that is only read and written, and where each value that is read was written
// once, no search is needed (Gibbons and Korach, Testing Shared Memories, 1997). All reads of a value come straight after its
// write, so the write and its reads form one block, and a block must come before another if one of its operations ends before
// one of the other's is called. An order exists unless two blocks must each come before the other: in a longer circle of
// blocks, the one with the earliest end and the one that precedes it in the circle already stand so to each other.

import type { Component, KeyFacts, Prepared } from './partition.js';
import type { Value } from './register.js';

interface Block {
  /** The first end and the last call among its operations. */
  end: number;
  call: number;
  /** Null: the initial value. */
  readonly writer: Prepared | null;
  ender: Prepared | null;
  caller: Prepared | null;
}

export type ZonesVerdict =
  | { readonly holds: true }
  /** `culprits`: operations that show it. */
  | { readonly holds: false; readonly why: string; readonly culprits: readonly Prepared[] };

/** Null: not a history of this kind. */
export function checkZones(
  { keys, operations }: Component,
  facts: KeyFacts,
  initial: Value,
): ZonesVerdict | null {
  if (keys.length !== 1) return null;
  const blocks: Block[] = [];
  const byValue = new Map<Value, Block>();
  const first: Block = {
    end: Number.NEGATIVE_INFINITY,
    call: Number.NEGATIVE_INFINITY,
    writer: null,
    ender: null,
    caller: null,
  };
  if (facts.tells(initial)) byValue.set(initial, first);
  for (const operation of operations) {
    const [part] = operation.parts;
    if (part === undefined || part.program !== null || part.excluded.length > 0) return null;
    if (part.allowed !== null) {
      if (part.allowed.length !== 1 || part.allowed[0] !== part.result) return null;
      continue;
    }
    const { call, end } = operation.source;
    if (part.result === undefined || part.result === null) return null;
    const block: Block = { end, call, writer: operation, ender: operation, caller: operation };
    if (facts.tells(part.result)) {
      if (byValue.has(part.result)) return null;
      byValue.set(part.result, block);
    } else if (!operation.known) continue;
    blocks.push(block);
  }
  blocks.push(first);
  for (const operation of operations) {
    const [part] = operation.parts;
    if (part === undefined || part.allowed === null || !operation.known) continue;
    const block = byValue.get(part.result as Value);
    const { call, end } = operation.source;
    if (block === undefined)
      return { holds: false, why: 'nothing wrote the value that was read', culprits: [operation] };
    if (block.writer !== null && end < block.writer.source.call)
      return {
        holds: false,
        why: 'a value was read before its write began',
        culprits: [operation, block.writer],
      };
    if (end < block.end) {
      block.end = end;
      block.ender = operation;
    }
    if (call > block.call) {
      block.call = call;
      block.caller = operation;
    }
  }
  return conflict(blocks);
}

/**
 * Looks for two blocks with a.end < b.call and b.end < a.call. A block whose end is before its call is a stretch of time in
 * which its value must hold throughout: no two of them may overlap. Any other block must find room for a moment of its own,
 * and may not lie within such a stretch; two of these are never in each other's way.
 */
function conflict(blocks: readonly Block[]): ZonesVerdict {
  const stretches = blocks.filter(({ end, call }) => end < call).sort((a, b) => a.end - b.end);
  for (let n = 1; n < stretches.length; n++) {
    const [a, b] = [stretches[n - 1] as Block, stretches[n] as Block];
    if (b.end < a.call) return refused('two values must hold at the same time', a, b);
  }
  for (const block of blocks) {
    if (block.end < block.call) continue;
    let [from, to] = [0, stretches.length];
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((stretches[middle] as Block).end < block.call) from = middle + 1;
      else to = middle;
    }
    const around = stretches[from - 1];
    if (around !== undefined && block.end < around.call)
      return refused('a value was written while another must hold throughout', around, block);
  }
  return { holds: true };
}

function refused(why: string, ...blocks: readonly Block[]): ZonesVerdict {
  const culprits = new Set<Prepared>();
  for (const { writer, ender, caller } of blocks)
    for (const operation of [writer, ender, caller])
      if (operation !== null) culprits.add(operation);
  return { holds: false, why, culprits: [...culprits] };
}
