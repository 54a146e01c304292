// Bytes by words. Requests and replies are read and written through DataViews at any offset; the heap is an Int32Array, in which
// keys and values begin on whole words. In between, words are copied four at a time: the engine checks every single access, but
// not the loop around it.

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The bytes that `view` covers from `from` on. */
export function bytesOf(view: DataView, from: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + from, length);
}

/** The last one to three bytes of `length` bytes at `from`, as they stand in their word, padded with zeros. */
export function tailWord(view: DataView, from: number, length: number): number {
  let word = 0;
  for (let at = from + length - 1; at >= from + (length & ~3); at--)
    word = (word << 8) | view.getUint8(at);
  return word;
}

/** Copies the whole words of `length` bytes at `from` to `words[to..]`; up to three bytes are left to the caller. */
export function wordsIn(
  words: Int32Array,
  to: number,
  view: DataView,
  from: number,
  length: number,
): void {
  let at = from;
  let word = to;
  for (const end = from + (length & ~15); at < end; at += 16, word += 4) {
    words[word] = view.getInt32(at, true);
    words[word + 1] = view.getInt32(at + 4, true);
    words[word + 2] = view.getInt32(at + 8, true);
    words[word + 3] = view.getInt32(at + 12, true);
  }
  for (const end = from + (length & ~3); at < end; at += 4) words[word++] = view.getInt32(at, true);
}

/** Copies `words[from..]` to `view` at `to`: `length` bytes, rounded up to whole words. */
export function wordsOut(
  words: Int32Array,
  from: number,
  view: DataView,
  to: number,
  length: number,
): void {
  let at = to;
  let word = from;
  for (const end = to + (length & ~15); at < end; at += 16, word += 4) {
    view.setInt32(at, words[word] as number, true);
    view.setInt32(at + 4, words[word + 1] as number, true);
    view.setInt32(at + 8, words[word + 2] as number, true);
    view.setInt32(at + 12, words[word + 3] as number, true);
  }
  for (const end = to + length; at < end; at += 4) view.setInt32(at, words[word++] as number, true);
}
