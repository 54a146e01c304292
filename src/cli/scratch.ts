// Directories of a measurement or a test: made under a directory that the user named, gone when they are not needed any more.

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { UsageError } from './usage.js';

/** A directory that there is. @returns it, absolute. @throws UsageError when nothing can be made in it */
export function writableDirectory(path: string): string {
  const directory = named(path);
  if (!existsSync(directory)) throw new UsageError(`there is no directory '${path}'`);
  return usable(path, directory);
}

/** Makes `path` if there is none. @returns it, absolute. @throws UsageError when nothing can be made in it */
export function madeDirectory(path: string): string {
  const directory = named(path);
  try {
    if (!existsSync(directory)) mkdirSync(directory, { recursive: true });
  } catch (error) {
    throw new UsageError(`'${path}' cannot be made: ${(error as Error).message}`);
  }
  return usable(path, directory);
}

/** What a variable of a shell leaves that nobody has set is not the present directory. */
function named(path: string): string {
  if (path === '') throw new UsageError('the name of the directory is empty');
  return resolve(path);
}

function usable(path: string, directory: string): string {
  if (!statSync(directory).isDirectory()) throw new UsageError(`'${path}' is no directory`);
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UsageError(`'${path}' cannot be used: ${(error as Error).message}`);
  }
  return directory;
}

/** A new directory under `parent`, removed with all that is in it when it is disposed of. */
export class Scratch implements Disposable {
  readonly path: string;
  #kept = false;

  constructor(parent: string, prefix: string) {
    this.path = mkdtempSync(join(parent, prefix));
  }

  /** It stays: somebody will want to look into it. */
  keep(): void {
    this.#kept = true;
  }

  [Symbol.dispose](): void {
    // Again when somebody who was killed a moment ago still made a file in it.
    if (!this.#kept) rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}
