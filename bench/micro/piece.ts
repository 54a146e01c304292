// One thing that is measured, as the files of this folder describe theirs. What a piece needs is made when it starts: a run of one
// piece must not fill the tables of all others first.

export interface Piece {
  readonly name: string;
  /** Bytes of what is counted, where bytes per second say something. */
  readonly bytes?: number;
  /** Called once, and only if the piece is wanted. */
  start(): Started | Promise<Started>;
}

export interface Started {
  /** Operations, frames, entries or pages that one call works through: figures are per one of them. */
  readonly count: number;
  /** Only a part of each call is timed, so the CPU time of the call says nothing about it; `run` returns a `Part`. */
  readonly partly?: boolean;
  run(): unknown;
  close?(): Promise<unknown>;
}

/** What tinybench takes instead of the time of the call, both in milliseconds: of the part that counts, and of the whole. */
export interface Part {
  readonly overriddenDuration: number;
  readonly overriddenIterationCost: number;
}

/** How much state the pieces work on. */
export interface Scale {
  /** Keys of the tables that are compared. */
  readonly keyspaces: readonly number[];
  /** Keys of the store whose pages are copied and hashed. */
  readonly imageKeys: number;
}

export const FULL_SCALE: Scale = { keyspaces: [10_000, 100_000, 1_000_000], imageKeys: 100_000 };
/** Figures mean nothing at this scale; everything runs the same path. */
export const SMOKE_SCALE: Scale = { keyspaces: [1000], imageKeys: 1000 };

/** What several pieces share: made by the first that starts. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
