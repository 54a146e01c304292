// Integers of msgpack, as a counter in the store needs them: any encoding is read, the shortest one is written, so that equal
// numbers are equal bytes whoever wrote them.

/** The integer that `bytes[from..to)` encodes; null when it is none, or not a safe one. */
export function readInteger(view: DataView, from: number, to: number): number | null {
  const length = to - from;
  if (length < 1) return null;
  const type = view.getUint8(from);
  if (length === 1) {
    if (type < 0x80) return type;
    return type >= 0xe0 ? type - 0x100 : null;
  }
  const at = from + 1;
  switch (type) {
    case 0xcc:
      return length === 2 ? view.getUint8(at) : null;
    case 0xcd:
      return length === 3 ? view.getUint16(at) : null;
    case 0xce:
      return length === 5 ? view.getUint32(at) : null;
    case 0xcf:
      return length === 9 ? safe(view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4)) : null;
    case 0xd0:
      return length === 2 ? view.getInt8(at) : null;
    case 0xd1:
      return length === 3 ? view.getInt16(at) : null;
    case 0xd2:
      return length === 5 ? view.getInt32(at) : null;
    case 0xd3:
      return length === 9 ? safe(view.getInt32(at) * 2 ** 32 + view.getUint32(at + 4)) : null;
    case 0xcb:
      return length === 9 ? safe(view.getFloat64(at)) : null;
    default:
      return null;
  }
}

function safe(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}

/** Writes the shortest encoding of a safe integer: at most 9 bytes. @returns the number of bytes. */
export function writeInteger(view: DataView, at: number, value: number): number {
  if (value >= 0 && value < 0x80) {
    view.setUint8(at, value);
    return 1;
  }
  if (value < 0 && value >= -32) {
    view.setInt8(at, value);
    return 1;
  }
  const negative = value < 0;
  const size = negative ? signedSize(value) : unsignedSize(value);
  view.setUint8(at, (negative ? 0xd0 : 0xcc) + [1, 2, 4, 8].indexOf(size));
  if (size === 1) view.setInt8(at + 1, value);
  else if (size === 2) view.setInt16(at + 1, value);
  else if (size === 4) view.setInt32(at + 1, value);
  else {
    view.setInt32(at + 1, Math.floor(value / 2 ** 32));
    view.setUint32(at + 5, value >>> 0);
  }
  return 1 + size;
}

function unsignedSize(value: number): number {
  if (value <= 0xff) return 1;
  if (value <= 0xffff) return 2;
  return value <= 0xffff_ffff ? 4 : 8;
}

function signedSize(value: number): number {
  if (value >= -0x80) return 1;
  if (value >= -0x8000) return 2;
  return value >= -0x8000_0000 ? 4 : 8;
}
