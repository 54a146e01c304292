// Batch size against window as a table of coloured cells, one for each linger and way to flush. A table, because a sweep has few
// values and each is worth reading.

import { formatMicros } from '../units.js';
import { type Html, html } from './html.js';
import type { ResultPoint } from './result-file.js';

interface Figure {
  readonly title: string;
  readonly of: (point: ResultPoint) => number;
  readonly text: (value: number) => string;
  /** What makes a strong colour: p99s differ by powers of ten. */
  readonly scale: (value: number) => number;
}

const FIGURES: readonly Figure[] = [
  {
    title: 'operations/s',
    of: ({ opsPerSecond }) => opsPerSecond,
    text: compact,
    scale: (value) => value,
  },
  { title: 'p99', of: ({ p99Us }) => p99Us, text: formatMicros, scale: (value) => Math.log(value) },
];

function compact(value: number): string {
  return value.toLocaleString('en-US', { notation: 'compact', maximumSignificantDigits: 3 });
}

/** Numbers rising, 'auto' last. */
function sorted(values: Iterable<string>): string[] {
  const size = (value: string): number => (value === 'auto' ? Number.MAX_VALUE : Number(value));
  return [...new Set(values)].sort((a, b) => size(a) - size(b));
}

/** Empty where there is no sweep over both or one of batch size and window. */
export function heatMaps(points: readonly ResultPoint[]): Html[] {
  const groups = new Map<string, ResultPoint[]>();
  for (const point of points) {
    const name = `linger ${formatMicros(point.lingerMicros)}, ${point.fsync === 'memory' ? 'in memory' : `fsync ${point.fsync}`}`;
    groups.set(name, [...(groups.get(name) ?? []), point]);
  }
  return [...groups]
    .filter(([, group]) => group.length > 1)
    .map(
      ([name, group]) => html`<h4>${name}</h4>
<div class="maps">${FIGURES.map((figure) => heatMap(group, figure))}</div>`,
    );
}

function heatMap(points: readonly ResultPoint[], { title, of, text, scale }: Figure): Html {
  const batches = sorted(points.map(({ batch }) => batch));
  const windows = sorted(points.map(({ window }) => String(window)));
  const answered = points.map(of).filter((value) => value > 0);
  const [least, most] = [scale(Math.min(...answered)), scale(Math.max(...answered))];
  const cell = (batch: string, window: string): Html => {
    const point = points.find((one) => one.batch === batch && String(one.window) === window);
    if (point === undefined || of(point) === 0) return html`<td></td>`;
    const share = most === least ? 1 : (scale(of(point)) - least) / (most - least);
    const doubt = point.doubtful.length > 0 ? ' ?' : '';
    return html`<td style="--heat: ${share.toFixed(2)}">${text(of(point))}${doubt}</td>`;
  };
  return html`<table class="heat"><caption>${title}</caption>
<thead><tr><th>batch \\ window</th>${windows.map((window) => html`<th>${window}</th>`)}</tr></thead>
<tbody>${batches.map(
    (batch) => html`<tr><th>${batch}</th>${windows.map((window) => cell(batch, window))}</tr>`,
  )}</tbody></table>`;
}
