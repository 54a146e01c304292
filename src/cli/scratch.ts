// Directories of a measurement or a test: made under a directory that the user named, gone when they are not needed any more.

import { accessSync, constants, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UsageError } from './usage.js';

/** Makes `path` if there is none. @returns it, absolute. @throws UsageError when nothing can be made in it */
export function writableDirectory(path: string): string {
  const directory = resolve(path);
  try {
    mkdirSync(directory, { recursive: true });
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
