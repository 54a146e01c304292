// Integers of msgpack, as a counter in the store needs them. Any encoding is read. Written is the shortest one up to 32 bits and a
// float64 beyond: as short as a 64-bit integer, exact to 2^53, and read as a plain number by every decoder, so a counter equals the
// same number written by a client byte for byte.

export const INTEGER_BYTES_MAX = 9;

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
    case 0xca:
      return length === 5 ? safe(view.getFloat32(at)) : null;
    case 0xcb:
      return length === 9 ? safe(view.getFloat64(at)) : null;
    default:
      return null;
  }
}

function safe(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}

/** Writes a safe integer: at most 9 bytes. @returns the number of bytes. */
export function writeInteger(view: DataView, at: number, value: number): number {
  if (value >= -32 && value < 0x80) {
    view.setInt8(at, value);
    return 1;
  }
  if (value > 0xffff_ffff || value < -0x8000_0000) {
    view.setUint8(at, 0xcb);
    view.setFloat64(at + 1, value);
    return 9;
  }
  const sizeLog = value < 0 ? signedSizeLog(value) : unsignedSizeLog(value);
  view.setUint8(at, (value < 0 ? 0xd0 : 0xcc) + sizeLog);
  if (sizeLog === 0) view.setInt8(at + 1, value);
  else if (sizeLog === 1) view.setInt16(at + 1, value);
  else view.setInt32(at + 1, value);
  return 1 + (1 << sizeLog);
}

function unsignedSizeLog(value: number): number {
  if (value <= 0xff) return 0;
  return value <= 0xffff ? 1 : 2;
}

function signedSizeLog(value: number): number {
  if (value >= -0x80) return 0;
  return value >= -0x8000 ? 1 : 2;
}
