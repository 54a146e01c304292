// What a report is made of: files that may hold anything, text that must stay text, and curves whose figures are those of the file.

import { describe, expect, test } from 'vitest';
import {
  drawn,
  frontierChart,
  percentileChart,
  timelineChart,
} from '../../src/cli/report/charts.js';
import { entryCharts } from '../../src/cli/report/entry-charts.js';
import { heatMaps } from '../../src/cli/report/heat-map.js';
import { html } from '../../src/cli/report/html.js';
import { parseResult, type Result } from '../../src/cli/report/result-file.js';
import { UsageError } from '../../src/cli/usage.js';
import { type Place, resultDocument } from './result-document.js';

function parsed(value: unknown): Result {
  return parseResult('some.json', JSON.stringify(value));
}

const SWEEP: readonly Place[] = [
  { batch: 8, window: 4 },
  { batch: 'auto', window: 4 },
  { batch: 8, window: 32 },
];

describe('a file that is no result', () => {
  const good = resultDocument(SWEEP);
  test.each([
    ['no JSON', '{"kind":', 'it is not JSON'],
    ['a list', '[]', 'the result is a list, where an object is expected'],
    ['null', 'null', 'the result is null, where an object is expected'],
    ['an object without a kind', '{}', 'the result.kind is missing'],
    ['another kind', '{"kind":"viewstamp.soak"}', 'the result.kind is "viewstamp.soak", where'],
    ['another version', JSON.stringify({ ...good, schemaVersion: 9 }), 'schema version 9'],
    [
      'no summary',
      JSON.stringify({ ...good, summary: undefined }),
      'the result.summary is missing',
    ],
    [
      'a rate that is text',
      JSON.stringify({ ...good, summary: [{ ...good.summary[0], opsPerSecond: '1' }] }),
      'the result.summary[0].opsPerSecond is "1", where a number is expected',
    ],
    [
      'a batch size that is an object',
      JSON.stringify({ ...good, summary: [{ ...good.summary[0], batch: {} }] }),
      'the result.summary[0].batch is an object, where a number is expected',
    ],
    [
      'half a percentile',
      JSON.stringify({ ...good, histogram: [{ ...good.histogram[0], percentiles: [[1]] }] }),
      'the result.histogram[0].percentiles[0] is a list, where a pair of numbers is expected',
    ],
    [
      'a timeline that is none',
      JSON.stringify({ ...good, runs: [{ ...good.runs[0], timeline: 'yes' }] }),
      'the result.runs[0].timeline is "yes", where a list is expected',
    ],
    [
      'sizes of entries without their bytes',
      JSON.stringify({
        ...good,
        summary: [{ ...good.summary[0], entries: { byRequests: [[1, 2]] } }],
      }),
      'the result.summary[0].entries.byBytes is missing, where a list is expected',
    ],
  ])('%s: says what is wrong, and where', (_what, text, said) => {
    expect(() => parseResult('x.json', text)).toThrow(UsageError);
    expect(() => parseResult('x.json', text)).toThrow(said);
  });
});

describe('curves', () => {
  test('have the figures of the file', () => {
    const result = parsed(resultDocument(SWEEP));
    expect(frontierChart(result)).toMatchObject({
      x: [64, 512, 4096],
      series: [{ y: [32_000, 256_000, 2_048_000] }, { y: [32_000, 256_000, 2_048_000] }],
    });
    expect(percentileChart(result)).toMatchObject({
      x: [1, 2, 100],
      series: [
        { label: 'batch 8, window 4', y: [1, 2, 3] },
        { label: 'batch auto, window 4', y: [1, 2, 3] },
        { label: 'batch 8, window 32', y: [1, 2, 3] },
      ],
    });
    expect(timelineChart(result)).toMatchObject({
      x: [0.1, 0.2],
      series: [{ y: [5, 32] }, { y: [5, 2048] }, { y: [5, 256] }],
    });
  });

  test('at different times lie beside each other', () => {
    const value = resultDocument(SWEEP.slice(0, 2));
    Object.assign(value.runs[1] ?? {}, { timeline: [[150, 7]] });
    expect(timelineChart(parsed(value))).toMatchObject({
      x: [0.1, 0.15, 0.2],
      series: [{ y: [5, null, 32] }, { y: [null, 7, null] }],
    });
  });

  test('that the file does not have are not drawn', () => {
    const { histogram: _, runs: __, ...rest } = resultDocument(SWEEP.slice(0, 1));
    const result = parsed(rest);
    expect(percentileChart(result)).toBeNull();
    expect(timelineChart(result)).toBeNull();
    expect(frontierChart(result)).toBeNull();
    expect(heatMaps(result.points)).toEqual([]);
  });

  test('are those of the frontier where there are many', () => {
    const places = Array.from({ length: 40 }, (_, index) => ({ batch: 1 + index, window: 4 }));
    const value = resultDocument(places);
    for (const row of value.summary.slice(20)) row.opsPerSecond = 1;
    const points = drawn(parsed(value));
    expect(points).toHaveLength(8);
    expect(points[0]?.batch).toBe('1');
    expect(points.every(({ opsPerSecond }) => opsPerSecond > 1)).toBe(true);
  });
});

describe('bars of the sizes of entries', () => {
  test('are shares, from the smallest to the largest that there was', () => {
    expect(entryCharts(parsed(resultDocument(SWEEP)))).toMatchObject([
      {
        title: 'Requests per entry of the log',
        xScale: 'bands',
        bands: ['1', '2', '3–4', '5–8', '9–16', '17–32'],
        x: [0, 1, 2, 3, 4, 5],
        series: [
          { label: 'batch 8, window 4', style: 'bars', y: [75, 0, 25, 0, 0, 0] },
          { label: 'batch auto, window 4', y: [75, 0, 25, 0, 0, 0] },
          { label: 'batch 8, window 32', y: [75, 0, 0, 0, 0, 25] },
        ],
      },
      {
        title: 'Bytes per entry of the log',
        bands: ['1 KiB', '2 KiB', '4 KiB', '8 KiB', '16 KiB', '32 KiB'],
        series: [{ y: [75, 0, 25, 0, 0, 0] }, {}, { y: [75, 0, 0, 0, 0, 25] }],
      },
    ]);
  });

  test('are not drawn where the file has none, or no entry was made', () => {
    const older = resultDocument(SWEEP);
    for (const row of older.summary) Object.assign(row, { entries: undefined });
    expect(entryCharts(parsed(older))).toEqual([]);
    expect(parsed(older).points.map(({ entries }) => entries)).toEqual([null, null, null]);
    const reads = resultDocument(SWEEP.slice(0, 1));
    const byRequests = [[1, 0]];
    Object.assign(reads.summary[0] ?? {}, { entries: { byRequests, byBytes: [[64, 0]] } });
    expect(entryCharts(parsed(reads))).toEqual([]);
  });
});

test('a heat map has a row for each batch size, in order, and no cell for what was not run', () => {
  const [map] = heatMaps(parsed(resultDocument(SWEEP)).points);
  const rows = [...(map?.text ?? '').matchAll(/<tr><th>(8|auto)<\/th>(.*?)<\/tr>/gs)];
  expect(rows.map(([, batch]) => batch)).toEqual(['8', 'auto', '8', 'auto']);
  expect(rows[0]?.[2]).toMatch(/0\.00">32K<\/td>\s*<td style="--heat: 0\.11">256K<\/td>/);
  expect(rows[1]?.[2]).toMatch(/1\.00">2\.05M<\/td>\s*<td><\/td>/);
});

test('text stays text, wherever it is put in', () => {
  const text = `<script>&"'`;
  const escaped = '&lt;script&gt;&amp;&quot;&#39;';
  expect(html`<p title="${text}">${text}</p>`.text).toBe(`<p title="${escaped}">${escaped}</p>`);
  expect(html`<ul>${[html`<li>${text}</li>`]}</ul>`.text).toBe(`<ul><li>${escaped}</li></ul>`);
});
