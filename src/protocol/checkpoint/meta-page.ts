// The first list of a checkpoint: one page with what belongs to no service (CP2).
//
//    op f64 | ts f64 | storeBytes f64 | epoch u32 | members u32 | member: id u32, role u32 ...      little-endian

import { violated } from '../assert.js';
import type { Configuration, Member } from '../configuration.js';
import type { OpNumber } from '../types.js';

export interface Meta {
  readonly op: OpNumber;
  /** Of the entry at `op`: the next one is later (DT2). */
  readonly ts: number;
  readonly configuration: Configuration;
}

const AT_MEMBERS = 32;

export function encodeMeta(meta: Meta, pageBytes: number): Uint8Array {
  const { epoch, members, storeBytes } = meta.configuration;
  const page = new Uint8Array(pageBytes);
  const view = new DataView(page.buffer);
  view.setFloat64(0, meta.op, true);
  view.setFloat64(8, meta.ts, true);
  view.setFloat64(16, storeBytes, true);
  view.setUint32(24, epoch, true);
  view.setUint32(28, members.length, true);
  for (const [at, member] of members.entries()) {
    view.setUint32(AT_MEMBERS + 8 * at, member.id, true);
    view.setUint32(AT_MEMBERS + 8 * at + 4, member.role === 'active' ? 0 : 1, true);
  }
  return page;
}

/** @throws {ProtocolViolation} when it is no such page */
export function decodeMeta(page: Uint8Array): Meta {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const count = view.getUint32(28, true);
  if (!(AT_MEMBERS + 8 * count <= page.length)) violated(`a checkpoint of ${count} members`);
  const members: Member[] = Array.from({ length: count }, (_, at) => ({
    id: view.getUint32(AT_MEMBERS + 8 * at, true),
    role: view.getUint32(AT_MEMBERS + 8 * at + 4, true) === 0 ? 'active' : 'witness',
  }));
  const configuration = {
    epoch: view.getUint32(24, true),
    members,
    storeBytes: view.getFloat64(16, true),
  };
  return { op: view.getFloat64(0, true), ts: view.getFloat64(8, true), configuration };
}
