// Where results go and in which form. Files are named by the user and take their form from the suffix; standard output takes
// results only, so that it can be piped.

import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import Table from 'cli-table3';
import { EXIT_FAILED, UsageError } from './usage.js';

export const FORMATS = ['table', 'json', 'csv'] as const;
export type Format = (typeof FORMATS)[number];

const SUFFIXES: Readonly<Record<string, Format>> = {
  '.json': 'json',
  '.csv': 'csv',
  '.txt': 'table',
};

export interface OutputFile<F extends Format = Format> {
  readonly path: string;
  readonly format: F;
}

/** Checked before the run: an hour of measuring must not end at a misspelt directory. @throws UsageError */
export function outputFile(path: string): OutputFile {
  const format = SUFFIXES[extname(path)];
  if (format === undefined)
    throw new UsageError(`'${path}' must end in ${Object.keys(SUFFIXES).join(', ')}`);
  return { path: writable(path), format };
}

/** @returns `path`, a file that can be made. @throws UsageError */
export function writable(path: string): string {
  try {
    const known = existsSync(path);
    closeSync(openSync(path, 'a'));
    if (!known) rmSync(path);
  } catch (error) {
    throw new UsageError(`'${path}' cannot be written: ${(error as Error).message}`);
  }
  return path;
}

/** Of a program that goes on: a closed pipe is the business of whoever closed it. */
function noteFailure(why: string | null): void {
  if (why === null) return;
  process.stderr.write(`error: ${why}\n`);
  process.exitCode = EXIT_FAILED;
}

/**
 * Call once at the start of a program: `gone` hears when its output can no longer be written. `why` is null where a reader closed the
 * pipe (`| head`), which is no fault. What the program found out counts as before, and what it keeps is put in order.
 */
export function guardStreams(gone: (why: string | null) => void = noteFailure): void {
  let told = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (told) return;
    told = true;
    const closed = error.code === 'EPIPE';
    gone(closed ? null : `standard output cannot be written: ${error.message}`);
  });
  // Results matter more than what is said about them.
  process.stderr.on('error', () => {});
}

/** Prints one form and writes the files, as many of them as can be. @throws what went wrong with the first that cannot */
export function deliver<F extends Format>(
  render: Readonly<Record<F, () => string>>,
  format: F,
  files: readonly OutputFile<F>[],
): void {
  process.stdout.write(`${render[format]()}\n`);
  const failures: unknown[] = [];
  for (const file of files)
    try {
      writeFileSync(file.path, `${render[file.format]()}\n`);
    } catch (error) {
      failures.push(error);
    }
  if (failures.length > 0) throw failures[0];
}

/** Columns of figures, the first one left-aligned. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const grid = new Table({
    head: [...head],
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    // Plain: colours only confuse whoever pastes the table somewhere.
    style: { head: [], border: [], compact: true },
  });
  for (const row of rows) grid.push([...row]);
  return grid.toString();
}

/** RFC 4180. */
export function csv(
  head: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): string {
  const cell = (value: string | number): string => {
    const text = String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(',')).join('\n');
}
