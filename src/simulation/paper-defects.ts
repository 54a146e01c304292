// The two published defects of VR Revisited (Liskov and Cowling, 2012) under names of their own, each to be played with the
// defect and with the rule of docs/protocol.md that closes it. Both lose an acknowledged write; neither was found by hundreds
// of random runs of a small model, while one directed script finds each at once.

import type { Mutations } from '../protocol/mutations.js';
import type { StoryOptions } from './cast.js';
import { staleLife, type Tell, ToldStory, truncateEarly } from './paper-scripts.js';
import type { Story } from './story.js';

export type PaperDefectName = 'truncate-early' | 'stale-life';

export interface PaperDefect {
  readonly name: PaperDefectName;
  /** Where it was published, and by whom it was found. */
  readonly source: string;
  /** What the paper says, and what this implementation does instead. */
  readonly paper: string;
  readonly rule: string;
  readonly mutations: Mutations;
  readonly options: StoryOptions;
  readonly script: (s: Story, tell?: Tell) => void;
  /** First words of the invariant that breaks when the defect is there; without it none does. */
  readonly breaks: string;
}

export const PAPER_DEFECTS: Readonly<Record<PaperDefectName, PaperDefect>> = {
  'truncate-early': {
    name: 'truncate-early',
    source:
      'Liskov, Cowling: Viewstamped Replication Revisited (MIT-CSAIL-TR-2012-021), section 5.2; found by Vanlightly with TLA+',
    paper:
      'A replica that hears of a later view cuts its log back to its commit number and joins that view before it has the missing entries.',
    rule: 'VC3, Install: it keeps its log and its last normal view until the whole log of the later view is here.',
    mutations: { truncateOnLaterView: true },
    options: { replicas: 5, limits: { batchMax: 1, tailEntries: 1 } },
    script: truncateEarly,
    breaks: 'I2 ',
  },
  'stale-life': {
    name: 'stale-life',
    source:
      'Liskov, Cowling: Viewstamped Replication Revisited (MIT-CSAIL-TR-2012-021), section 4.3; found by Michael et al., Recovering Shared Objects Without Stable Storage, DISC 2017',
    paper:
      'Votes and promises (StartViewChange, DoViewChange) that a replica sent before it lost its memory still count, though it remembers none of them.',
    rule: 'R0, R4: the highest view that a replica ever promised is in a register that outlives the thread; it recovers into no lower one.',
    mutations: { registerForgotten: true },
    options: { replicas: 3 },
    script: staleLife,
    breaks: 'I9 ',
  },
};

export interface PaperDefectRun {
  /** What happened and what each replica held, step by step, in short sentences. */
  readonly story: readonly string[];
  /** The invariant that broke, in words; null: none, and the story came to its good end. */
  readonly violation: string | null;
}

/** Plays the script of `name` once. Deterministic: equal arguments, equal story. */
export function runPaperDefect(
  name: PaperDefectName,
  options: { readonly withDefect: boolean },
): PaperDefectRun {
  const defect = PAPER_DEFECTS[name];
  const mutations = options.withDefect ? defect.mutations : {};
  const lines: string[] = [];
  const s = new ToldStory({ ...defect.options, mutations });
  s.onBroken = (what) => lines.push(`  Broken: ${what}`);
  defect.script(s, (line) => lines.push(line));
  return { story: lines, violation: s.broken };
}
