// What counts as a request of the key-value store, said a second time: after the layout in operation.ts, without the cursor of the
// service and as slow as it likes.

import * as codec from '../../src/service/operation.js';

export interface Request {
  readonly atomic: boolean;
  readonly codes: readonly number[];
}

/** What `bytes` ask for, null when they are no request of the sort. */
export function understood(bytes: Uint8Array, reads: boolean): Request | null {
  if (bytes.length < codec.REQUEST_HEADER) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [, flags = 0, second, third] = bytes;
  if (flags > 1 || (reads && flags !== 0) || second !== 0 || third !== 0) return null;
  const count = view.getUint32(4, true);
  const codes: number[] = [];
  let at = codec.REQUEST_HEADER;
  while (codes.length < count) {
    if (at + 8 > bytes.length) return null;
    const code = bytes[at] as number;
    const condition = (bytes[at + 1] as number) & 0x7f;
    const valueBytes = view.getUint32(at + 4, true);
    let size = 8 + view.getUint16(at + 2, true) + valueBytes;
    let extra = 0;
    const hasExtra = code === codec.OP_INCR || code === codec.OP_CAS || condition === 3;
    if (hasExtra) {
      if (at + 16 > bytes.length) return null;
      extra = view.getFloat64(at + 8, true);
      size += 8 + (code === codec.OP_CAS && extra > 0 ? extra : 0);
    }
    if (!(at + size <= bytes.length) || !allowed(code, { condition, valueBytes, extra, reads }))
      return null;
    codes.push(code);
    at += size;
  }
  return at === bytes.length ? { atomic: flags === 1, codes } : null;
}

function allowed(
  code: number,
  of: { condition: number; valueBytes: number; extra: number; reads: boolean },
): boolean {
  const plain = of.condition === 0;
  if (of.reads) return [16, 17, 18].includes(code) && plain && of.valueBytes === 0;
  if (code === codec.OP_SET) return of.condition <= 3;
  if (code === codec.OP_DELETE) return of.condition <= 3 && of.valueBytes === 0;
  if (code === codec.OP_INCR) return plain && of.valueBytes === 0 && Number.isSafeInteger(of.extra);
  return code === codec.OP_CAS && plain && Number.isInteger(of.extra) && of.extra >= -1;
}
