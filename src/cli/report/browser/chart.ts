// What the page is told to draw. It travels as JSON inside of the page.

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /**
   * `percentile`: values are 1 / (1 - percentile / 100), drawn on a logarithmic scale and written as percentiles.
   * `bands`: values are 0, 1, 2 ... and each stands for what `bands` calls it.
   */
  readonly xScale: 'linear' | 'logarithmic' | 'percentile' | 'bands';
  readonly bands?: readonly string[];
  readonly yScale: 'linear' | 'logarithmic';
  /** Rising. */
  readonly x: readonly number[];
  readonly series: readonly Series[];
}

export interface Series {
  readonly label: string;
  /** `bars`: of all series beside each other. */
  readonly style: 'line' | 'points' | 'bars';
  /** One for each x; null: none there, the line goes on to the next. */
  readonly y: readonly (number | null)[];
}
