// What `--trace-gc` prints, read: how long replica threads stood still for their collectors. The trace costs a line per collection and
// needs nothing of the threads, which seldom turn their event loops; observers of perf_hooks would add objects to what they observe.

/** Of one round under load. */
export interface Collections {
  /** Of the replica thread that collected longest: time in pauses over time, 0 to 1. */
  readonly share: number;
  /** Of all replica threads. */
  readonly minor: number;
  readonly major: number;
  readonly longestMs: number;
}

/** What V8 prints where a program asked for a collection, and where a heap snapshot did. */
const ASKED_FOR = 'testing';
const SNAPSHOT = 'heap profiler';
const LINE = /^\[\d+:(0x[0-9a-f]+)\]\s+\d+ ms: (.*?) \d.*? MB, ([\d.]+) \/ [\d.]+ ms (.*)$/;
/** Parts of a marking that were done before its pause. */
const STEPS = /\(\+ ([\d.]+) ms in \d+ steps/;

interface Collection {
  readonly thread: string;
  readonly major: boolean;
  readonly ms: number;
  readonly reason: string;
}

function parse(line: string): Collection | null {
  const [, thread, kind, pause, rest] = LINE.exec(line) ?? [];
  if (thread === undefined || kind === undefined || rest === undefined) return null;
  const steps = STEPS.exec(rest)?.[1] ?? '0';
  return {
    thread,
    major: kind.startsWith('Mark'),
    ms: Number(pause) + Number(steps),
    reason: rest,
  };
}

/**
 * `trace` of a process that asked for a collection of its first thread when the time began and when it was over, and that had its
 * other threads but replicas take heap snapshots before. `replicas`: how many there are. @throws when the trace tells something else
 */
export function collectionsOf(
  trace: string,
  { milliseconds, replicas }: { readonly milliseconds: number; readonly replicas: number },
): Collections {
  const all = trace.split('\n').flatMap((line) => parse(line) ?? []);
  const marks = all.flatMap(({ reason }, at) => (reason.includes(ASKED_FOR) ? [at] : []));
  const [begin, end] = [marks[0], marks.at(-1)];
  if (begin === undefined || end === undefined || begin === end)
    throw new Error('the trace of collections has no beginning or no end');
  const others = new Set(
    all.flatMap(({ thread, reason }) =>
      reason.includes(ASKED_FOR) || reason.includes(SNAPSHOT) ? [thread] : [],
    ),
  );
  const own = all.slice(begin, end).filter(({ thread }) => !others.has(thread));
  const times = new Map<string, number>();
  for (const { thread, ms } of own) times.set(thread, (times.get(thread) ?? 0) + ms);
  if (times.size > replicas)
    throw new Error(`${times.size} threads collected, there are ${replicas} replicas`);
  const major = own.filter((one) => one.major).length;
  return {
    share: Math.max(0, ...times.values()) / milliseconds,
    minor: own.length - major,
    major,
    longestMs: Math.max(0, ...own.map(({ ms }) => ms)),
  };
}
