// A progress bar on stderr, and only where somebody watches: results own stdout, logs of machines want neither.

import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  /** `done` from 0 to 1 of the whole command. */
  update(done: number, what: string): void;
  stop(): void;
}

const STEPS = 1000;
const SILENT: Progress = { update: () => {}, stop: () => {} };

export function startProgress(quiet: boolean): Progress {
  if (quiet || !process.stderr.isTTY) return SILENT;
  const bar = new SingleBar(
    {
      format: '{bar} {percentage}% {what}',
      stream: process.stderr,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 30,
    },
    Presets.shades_classic,
  );
  bar.start(STEPS, 0, { what: '' });
  return {
    update: (done, what) => bar.update(Math.round(Math.min(1, done) * STEPS), { what }),
    stop: () => bar.stop(),
  };
}
