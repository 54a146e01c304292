// A stretch of bytes that one owner reuses for one key or value after another, with the view that reads it by words: what the hot
// path hands around instead of objects per operation.

export interface Span {
  bytes: Uint8Array;
  /** Covers the same bytes. */
  view: DataView;
  from: number;
  length: number;
}

export function spanOf(bytes: Uint8Array): Span {
  return { bytes, view: viewOf(bytes), from: 0, length: bytes.length };
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The last one to three bytes of a span as they stand in their word, padded with zeros. */
export function tailWord(span: Span): number {
  const end = span.from + span.length;
  let word = 0;
  for (let at = end - 1; at >= end - (span.length & 3); at--)
    word = (word << 8) | (span.bytes[at] as number);
  return word;
}
