// Operations of the user's own: one JSON object a line. The whole file is read and checked before anything runs, so that a broken
// line 10 000 leaves nothing half done; which line, and what is wrong with it, stands in the error.

import { readFileSync, statSync } from 'node:fs';
import { codecFor } from '../actors/client/codecs.js';
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from '../service/operation.js';
import { wellFormed } from '../service/utf8.js';
import { formatBytes } from './units.js';
import { UsageError } from './usage.js';
import {
  DELETE,
  GET,
  INCR,
  OPERATIONS,
  type Operation,
  type OperationCalls,
  type OperationSink,
  type OperationSource,
  SET,
} from './workload.js';

export interface InputOperation {
  readonly op: Operation;
  readonly key: string;
  readonly value?: unknown;
  readonly by?: number;
}

/** The file and its operations are held in memory. */
export const INPUT_BYTES_MAX: number = 256 << 20;
/** How the store of a benchmark encodes values. */
const codec = codecFor('msgpack');
const FIELDS: Readonly<Record<Operation, readonly string[]>> = {
  get: ['op', 'key'],
  set: ['op', 'key', 'value'],
  delete: ['op', 'key'],
  incr: ['op', 'key', 'by'],
};

/** What is quoted from a file stays within a few lines of the terminal, and cannot give it orders. */
const MESSAGE_CHARS = 300;
const QUOTE_CHARS = 60;

function wrong(line: number, what: string): UsageError {
  const escaped = clipped(what, MESSAGE_CHARS).replace(/[\p{Cc}\u2028\u2029]/gu, escapeCharacter);
  return new UsageError(`line ${line}: ${escaped}`);
}

function clipped(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** An object may be nested too deep to be turned into text, and nobody wants to read it. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'an object';
  return typeof value === 'string' ? JSON.stringify(clipped(value, QUOTE_CHARS)) : String(value);
}

function parseLine(text: string, line: number): InputOperation {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch (error) {
    throw wrong(line, `not JSON: ${(error as Error).message}`);
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record))
    throw wrong(line, 'not an object like {"op":"set","key":"a","value":1}');
  const fields: { op?: unknown; key?: unknown; value?: unknown; by?: unknown } = record;
  const kind = OPERATIONS.find((known) => known === fields.op);
  if (kind === undefined)
    throw wrong(line, `op is ${shown(fields.op)}, not one of ${OPERATIONS.join(', ')}`);
  const unknown = Object.keys(fields).find((name) => !FIELDS[kind].includes(name));
  if (unknown !== undefined)
    throw wrong(
      line,
      `a ${kind} has no '${clipped(unknown, QUOTE_CHARS)}', only ${FIELDS[kind].join(', ')}`,
    );
  const { key, value, by } = fields;
  if (typeof key !== 'string' || key === '') throw wrong(line, 'key must be a non-empty string');
  if (Buffer.byteLength(key) > KEY_BYTES_MAX)
    throw wrong(
      line,
      `key has ${Buffer.byteLength(key)} bytes, at most ${KEY_BYTES_MAX} are allowed`,
    );
  if (!wellFormed(key)) throw wrong(line, 'key is not well-formed Unicode');
  if (kind === 'set') {
    checkValue(value, line);
    return { op: kind, key, value };
  }
  if (kind === 'incr' && by !== undefined) {
    if (!Number.isSafeInteger(by)) throw wrong(line, 'by must be a whole number within ±(2^53-1)');
    return { op: kind, key, by: by as number };
  }
  return { op: kind, key };
}

/** Everything that the store would refuse in the middle of the run. */
function checkValue(value: unknown, line: number): void {
  if (value === undefined) throw wrong(line, 'a set needs a value');
  let bytes: number;
  try {
    bytes = codec.encode(value).length;
  } catch (error) {
    throw wrong(line, (error as Error).message);
  }
  if (bytes > VALUE_BYTES_MAX)
    throw wrong(line, `value takes ${bytes} bytes, at most ${VALUE_BYTES_MAX} are allowed`);
}

/** Blank lines are skipped. @throws UsageError that names the first broken line. */
export function parseInput(text: string): InputOperation[] {
  const operations: InputOperation[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() !== '') operations.push(parseLine(line, index + 1));
  });
  return operations;
}

/** Drops the mark that some editors begin a file with; other bytes than UTF-8 would become other keys and are refused. */
const decoder = new TextDecoder('utf-8', { fatal: true });

/** @throws UsageError naming the file. */
export function readInput(path: string): InputOperation[] {
  let operations: InputOperation[];
  try {
    const { size } = statSync(path);
    if (size > INPUT_BYTES_MAX)
      throw new UsageError(`${formatBytes(size)} is more than ${formatBytes(INPUT_BYTES_MAX)}`);
    operations = parseInput(decoder.decode(readFileSync(path)));
  } catch (error) {
    throw new UsageError(`--input ${path}: ${(error as Error).message}`);
  }
  if (operations.length === 0) throw new UsageError(`--input ${path}: no operations in it`);
  return operations;
}

/** Deals the operations out, `step` generators side by side, each taking every `step`-th piece. */
export class InputSource implements OperationSource<unknown> {
  readonly remembers = false;
  readonly #operations: readonly InputOperation[];
  readonly #piece: number;
  readonly #skip: number;
  readonly #repeat: boolean;
  readonly #first: number;
  #at: number;
  #left: number;

  constructor(options: {
    readonly operations: readonly InputOperation[];
    /** Operations that stay together. */
    readonly piece: number;
    readonly generator: number;
    readonly generators: number;
    /** Start over at the end. */
    readonly repeat: boolean;
  }) {
    this.#operations = options.operations;
    this.#piece = options.piece;
    this.#skip = options.piece * (options.generators - 1);
    this.#repeat = options.repeat;
    // With fewer pieces than generators, some have nothing to do unless they share.
    const pieces = Math.ceil(options.operations.length / options.piece);
    const mine = options.repeat ? options.generator % pieces : options.generator;
    this.#first = mine * options.piece;
    this.#at = this.#first;
    this.#left = options.piece;
  }

  /** @returns undefined at the end. */
  #next(): InputOperation | undefined {
    if (this.#left === 0) {
      this.#at += this.#skip;
      this.#left = this.#piece;
    }
    if (this.#at >= this.#operations.length) {
      if (!this.#repeat) return undefined;
      this.#at = this.#first;
      this.#left = this.#piece;
    }
    this.#left--;
    return this.#operations[this.#at++] as InputOperation;
  }

  fill(sink: OperationSink<unknown>, count: number, kinds: Uint8Array): number {
    for (let index = 0; index < count; index++) {
      const operation = this.#next();
      if (operation === undefined) return index;
      const { op, key } = operation;
      if (op === 'get') sink.get(key);
      else if (op === 'set') sink.set(key, operation.value);
      else if (op === 'delete') sink.delete(key);
      else sink.incr(key, operation.by);
      kinds[index] = op === 'get' ? GET : op === 'set' ? SET : op === 'delete' ? DELETE : INCR;
    }
    return count;
  }

  call(target: OperationCalls<unknown>): Promise<unknown> | null {
    const operation = this.#next();
    if (operation === undefined) return null;
    const { op, key } = operation;
    if (op === 'get') return target.get(key);
    if (op === 'set') return target.set(key, operation.value);
    return op === 'delete' ? target.delete(key) : target.incr(key, operation.by);
  }
}

/** Mean bytes of an operation in the log. */
export function inputBytes(operations: readonly InputOperation[]): number {
  return operations.reduce((sum, operation) => sum + weigh(operation), 0) / operations.length;
}

/** Bytes in the log, roughly: values are counted as JSON, which msgpack undercuts. */
function weigh(operation: InputOperation): number {
  const bytes = 16 + Buffer.byteLength(operation.key);
  if (operation.value === undefined) return bytes;
  return bytes + Buffer.byteLength(JSON.stringify(operation.value));
}
