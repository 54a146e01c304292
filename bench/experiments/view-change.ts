// View-change time against the operations so far: what must be moved before the next primary can serve is the end of the log, all of it,
// or a checkpoint and what follows.

import type { OpenOptions } from 'viewstamp';
import { median } from '#dist/cli/statistics.js';
import { formatBytes, formatCount, formatMillis } from '#dist/cli/units.js';
import { type ViewChange, viewChangeAfter } from '../cluster/view-change.js';
import { type Experiment, groupsOf, type InRound, inRounds } from './experiment.js';
import { PANEL, type Panel } from './figure.js';

type Moved = 'suffix' | 'whole log' | 'checkpoint';

interface Row extends ViewChange {
  readonly operations: number;
  readonly moved: Moved;
}

/** Longer than the whole log takes: whoever needs it is not passed over for being slow. Nothing here waits for it to pass. */
const TIMING = { viewTimeoutMs: 5000 };
/** A log that is never cut. */
const WHOLE: OpenOptions = {
  checkpointEvery: 1_000_000,
  limits: { logBytes: 2 ** 34, checkpointBytes: 2 ** 34 },
  timing: TIMING,
};
/** Smaller intervals than the default: a million operations are few entries when they come in large ones. */
const CUT: OpenOptions = { checkpointEvery: 128, timing: TIMING };

/** `away`: the replica whose turn comes next was paused before the first operation, and has none of them. */
const WAYS: readonly {
  readonly moved: Moved;
  readonly open: OpenOptions;
  readonly away: boolean;
}[] = [
  { moved: 'whole log', open: WHOLE, away: true },
  { moved: 'suffix', open: WHOLE, away: false },
  { moved: 'checkpoint', open: CUT, away: true },
];
const OPERATIONS = [1000, 10_000, 100_000, 1_000_000];
const POINTS = OPERATIONS.flatMap((operations) => WAYS.map((way) => ({ operations, ...way })));

export const VIEW_CHANGE: Experiment<InRound<Row>> = {
  name: 'view-change',
  what: 'view-change time against the operations so far',
  measure: (run) =>
    inRounds(
      run,
      run.smoke ? POINTS.slice(0, 1) : POINTS,
      ({ operations, moved }) => `${moved}, ${formatCount(operations)} operations`,
      async ({ operations, moved, open, away }) => [
        { operations, moved, ...(await viewChangeAfter(operations, { open, away })) },
      ],
    ),

  summarise: (rows) => ({
    head: [
      'moved',
      'operations before',
      'serves again',
      'worst',
      'the next one received',
      'all normal',
    ],
    rows: groupsOf(rows, ({ moved, operations }) => `${moved} ${operations}`)
      .toSorted(
        ([one], [other]) =>
          WAYS.findIndex(({ moved }) => moved === one?.moved) -
          WAYS.findIndex(({ moved }) => moved === other?.moved),
      )
      .map((group) => [
        group[0]?.moved ?? '',
        formatCount(group[0]?.operations ?? 0),
        formatMillis(median(group.map(({ viewMs }) => viewMs))),
        formatMillis(Math.max(...group.map(({ viewMs }) => viewMs))),
        formatBytes(median(group.map(({ nextBytes }) => nextBytes))),
        formatMillis(median(group.map(({ backMs }) => backMs))),
      ]),
  }),

  figure: (rows) => {
    const against = (figure: string, title: string, label: string): Panel => ({
      ...PANEL,
      title,
      mark: { type: 'line', point: true },
      encoding: {
        x: {
          field: 'operations',
          type: 'quantitative',
          title: 'operations before',
          scale: { type: 'log' },
          axis: { format: '~s', tickCount: OPERATIONS.length },
        },
        y: {
          field: figure,
          aggregate: 'median',
          type: 'quantitative',
          title: label,
          scale: { type: 'log' },
        },
        color: {
          field: 'moved',
          type: 'nominal',
          sort: WAYS.map(({ moved }) => moved),
          title: null,
        },
      },
    });
    return {
      data: {
        values: rows.map(({ nextBytes, ...row }) => ({ ...row, nextMiB: nextBytes / 2 ** 20 })),
      },
      hconcat: [
        against('viewMs', 'from the kill of the primary to the next answer', 'ms'),
        against('nextMiB', 'what the next primary in turn received', 'MiB'),
        against('backMs', 'until all are normal, the killed one included', 'ms'),
      ],
    };
  },
};
