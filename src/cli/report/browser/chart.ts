// What the page is told to draw. It travels as JSON inside of the page.

export interface Chart {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** `percentile`: values are 1 / (1 - percentile / 100), drawn on a logarithmic scale and written as percentiles. */
  readonly xScale: 'linear' | 'logarithmic' | 'percentile';
  readonly yScale: 'linear' | 'logarithmic';
  /** Rising. */
  readonly x: readonly number[];
  readonly series: readonly Series[];
}

export interface Series {
  readonly label: string;
  readonly style: 'line' | 'points';
  /** One for each x; null: none there, the line goes on to the next. */
  readonly y: readonly (number | null)[];
}
