// As much of the protocol of Redis (RESP2) as the comparison needs, over one connection: commands are added to one buffer and sent
// together, answers are views of what arrived. The usual clients take five to ten times the processor time for an operation, more
// than the three servers together: through them the comparison would be one with them.

import { connect, type Socket } from 'node:net';

/** A value, null where there is none, a number, or undefined for a plain "OK". */
export type Reply = Buffer | number | null | undefined;

const FIRST_BYTES = 64 << 10;
/** What counts, a length and a line end take at most. */
const FRAMING_BYTES = 32;
const CR = 0x0d;
const LF = 0x0a;
const [PLUS, MINUS, COLON, DOLLAR] = [...Buffer.from('+-:$')];
const ZERO = 0x30;

export class RespConnection {
  readonly #socket: Socket;
  #out = Buffer.allocUnsafe(FIRST_BYTES);
  #outBytes = 0;
  #added = 0;
  /** The beginning of an answer whose end is still to come. */
  #rest: Buffer | undefined;
  #replies: Reply[] = [];
  #open:
    | { readonly resolve: (replies: Reply[]) => void; readonly reject: (error: Error) => void }
    | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      try {
        this.#read(bytes);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('Redis closed the connection')));
  }

  static connect(port: number): Promise<RespConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RespConnection(socket));
      });
    });
  }

  /** Adds a command with one or two arguments. `name` and `first` are ASCII. */
  add(name: string, first: string, second?: Uint8Array): void {
    const start = `$${name.length}\r\n${name}\r\n$${first.length}\r\n${first}\r\n`;
    this.#added++;
    if (second === undefined) {
      this.#reserve(start.length + FRAMING_BYTES);
      this.#text(`*2\r\n${start}`);
      return;
    }
    this.#reserve(start.length + second.length + FRAMING_BYTES);
    this.#text(`*3\r\n${start}$${second.length}\r\n`);
    this.#out.set(second, this.#outBytes);
    this.#outBytes += second.length;
    this.#out[this.#outBytes++] = CR;
    this.#out[this.#outBytes++] = LF;
  }

  /** Sends what was added. @returns an answer to each. @throws when one of them is an error, or the connection ends */
  send(): Promise<Reply[]> {
    return new Promise((resolve, reject) => {
      this.#open = { resolve, reject };
      if (this.#socket.destroyed) this.#fail(new Error('the connection to Redis is closed'));
      // The buffer is free again when the answers are there.
      else this.#socket.write(this.#out.subarray(0, this.#outBytes));
      this.#outBytes = 0;
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #reserve(bytes: number): void {
    const needed = this.#outBytes + bytes;
    if (needed <= this.#out.length) return;
    const larger = Buffer.allocUnsafe(2 * needed);
    this.#out.copy(larger, 0, 0, this.#outBytes);
    this.#out = larger;
  }

  #text(text: string): void {
    this.#outBytes += this.#out.write(text, this.#outBytes, 'latin1');
  }

  #read(arrived: Buffer): void {
    const bytes = this.#rest === undefined ? arrived : Buffer.concat([this.#rest, arrived]);
    let at = 0;
    while (at < bytes.length) {
      const end = this.#readOne(bytes, at);
      if (end < 0) break;
      at = end;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
    if (this.#added === 0 || this.#replies.length < this.#added) return;
    const open = this.#open;
    const replies = this.#replies;
    this.#open = undefined;
    this.#added = 0;
    this.#replies = [];
    open?.resolve(replies);
  }

  /** @returns where the answer at `at` ends, -1: not all of it is there. */
  #readOne(bytes: Buffer, at: number): number {
    const lineEnd = bytes.indexOf(CR, at);
    if (lineEnd < 0 || lineEnd + 1 >= bytes.length) return -1;
    const next = lineEnd + 2;
    const kind = bytes[at];
    if (kind === PLUS) this.#replies.push(undefined);
    else if (kind === COLON) this.#replies.push(integer(bytes, at + 1, lineEnd));
    else if (kind === DOLLAR) {
      const length = integer(bytes, at + 1, lineEnd);
      if (length < 0) {
        this.#replies.push(null);
        return next;
      }
      if (next + length + 2 > bytes.length) return -1;
      this.#replies.push(bytes.subarray(next, next + length));
      return next + length + 2;
    } else {
      const line = bytes.toString('latin1', at, lineEnd);
      throw new Error(kind === MINUS ? `Redis: ${line.slice(1)}` : `Redis answered '${line}'`);
    }
    return next;
  }

  #fail(error: Error): void {
    this.#open?.reject(error);
    this.#open = undefined;
    this.#socket.destroy();
  }
}

/** Digits, perhaps after a minus sign. */
function integer(bytes: Buffer, from: number, to: number): number {
  const negative = bytes[from] === MINUS;
  let value = 0;
  for (let at = negative ? from + 1 : from; at < to; at++)
    value = value * 10 + (bytes[at] as number) - ZERO;
  return negative ? -value : value;
}
