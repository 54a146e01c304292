// Throughput over the time of a run. A long run keeps as many samples as a short one, of longer intervals.

export interface Sample {
  /** End of its interval, from the beginning of the measuring. */
  readonly atMs: number;
  /** Answered in the interval. */
  readonly opsPerSecond: number;
}

const STEP_MS = 100;
const SAMPLES_MOST = 1200;

interface Point {
  readonly atMs: number;
  /** Answered since the beginning. */
  readonly operations: number;
}

export class Timeline {
  #points: Point[] = [{ atMs: 0, operations: 0 }];
  #stepMs = STEP_MS;

  /** To be called more often than there are samples. */
  look(atMs: number, operations: number): void {
    if (atMs - this.#last.atMs < this.#stepMs) return;
    this.#points.push({ atMs, operations });
    if (this.#points.length <= SAMPLES_MOST) return;
    this.#points = this.#points.filter((_, index) => index % 2 === 0);
    this.#stepMs *= 2;
  }

  end(atMs: number, operations: number): void {
    // A rate over a few milliseconds says nothing: such a rest belongs to the sample before.
    const isRest = this.#points.length > 1 && atMs - this.#last.atMs < this.#stepMs / 2;
    if (isRest) this.#points.pop();
    if (atMs > this.#last.atMs) this.#points.push({ atMs, operations });
  }

  get #last(): Point {
    return this.#points.at(-1) as Point;
  }

  get samples(): Sample[] {
    return this.#points.slice(1).map(({ atMs, operations }, index) => {
      const before = this.#points[index] as Point;
      const seconds = (atMs - before.atMs) / 1e3;
      return { atMs, opsPerSecond: (operations - before.operations) / seconds };
    });
  }
}
