// UTF-8 without TextEncoder, which this layer may not name. Lone surrogates become U+FFFD, as everywhere else.

/** Bytes that `text` takes at most. */
export function utf8BytesMax(text: string): number {
  return text.length * 3;
}

/** Bytes that `writeUtf8` writes. */
export function utf8Bytes(text: string): number {
  let bytes = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x80) continue;
    if (code < 0x800) bytes += 1;
    else {
      bytes += 2;
      if (code >= 0xd800 && code < 0xdc00 && isLow(text.charCodeAt(index + 1))) index++;
    }
  }
  return bytes;
}

function isLow(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

/** Writes `text` at `at`; the room is the caller's affair. @returns the offset behind it. */
export function writeUtf8(text: string, target: Uint8Array, at: number): number {
  let to = at;
  for (let index = 0; index < text.length; index++) {
    let code = text.charCodeAt(index);
    if (code < 0x80) {
      target[to++] = code;
      continue;
    }
    if (code >= 0xd800 && code <= 0xdfff) {
      const low = text.charCodeAt(index + 1);
      if (code < 0xdc00 && isLow(low)) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        index++;
      } else code = 0xfffd;
    }
    if (code < 0x800) target[to++] = 0xc0 | (code >> 6);
    else {
      if (code < 0x10000) target[to++] = 0xe0 | (code >> 12);
      else {
        target[to++] = 0xf0 | (code >> 18);
        target[to++] = 0x80 | ((code >> 12) & 0x3f);
      }
      target[to++] = 0x80 | ((code >> 6) & 0x3f);
    }
    target[to++] = 0x80 | (code & 0x3f);
  }
  return to;
}

export function toUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8BytesMax(text));
  return bytes.subarray(0, writeUtf8(text, bytes, 0));
}

/** Text of `bytes[from..to)`, which must be well-formed UTF-8. */
export function fromUtf8(bytes: Uint8Array, from: number, to: number): string {
  let text = '';
  for (let at = from; at < to; ) {
    const first = bytes[at++] as number;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    let more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    let code = first & (0x3f >> more);
    for (; more > 0; more--) code = (code << 6) | ((bytes[at++] as number) & 0x3f);
    text += String.fromCodePoint(code);
  }
  return text;
}

/** False for half a surrogate pair, which would come back as another character. (Node 20 has it, the library types do not.) */
export function wellFormed(text: string): boolean {
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed();
}
