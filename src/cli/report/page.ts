// One HTML page of one or more results, whole in itself: scripts, styles and figures stand in it, and its policy lets it load nothing
// and run nothing else.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { formatCount, formatMicros } from '../units.js';
import type { Chart } from './browser/chart.js';
import { drawn, frontierChart, nameOf, percentileChart, timelineChart } from './charts.js';
import { entryCharts } from './entry-charts.js';
import { heatMaps } from './heat-map.js';
import { Html, html } from './html.js';
import type { Fact, Result, ResultPoint, Tuning } from './result-file.js';

const STYLE = `
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h2 { border-top: 2px solid #0072b2; margin-top: 3rem; padding-top: .6rem; overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { padding: .15rem .6rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th:first-child, .facts td { text-align: left; overflow-wrap: anywhere; }
caption { text-align: left; font-weight: 600; padding: .2rem 0; }
.heat td { background: rgb(230 159 0 / var(--heat)); }
.facts, .maps { display: flex; flex-wrap: wrap; gap: 0 2.5rem; align-items: flex-start; }
.wide { overflow-x: auto; }
.missing, .doubtful { color: #666; }
.chart { margin: 1.5rem 0; }`;

/** A script in a page ends at the first of these, wherever it stands. */
function asScriptData(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c');
}

function script(source: string, attributes: string): { readonly tag: Html; readonly hash: string } {
  const hash = createHash('sha256').update(source).digest('base64');
  return { tag: new Html(`<script${attributes}>${source}</script>`), hash: `'sha256-${hash}'` };
}

export function renderPage(results: readonly Result[]): string {
  const { resolve } = createRequire(import.meta.url);
  const read = (name: string): string => readFileSync(resolve(`uplot/dist/${name}`), 'utf8');
  const library = script(read('uPlot.iife.min.js'), '');
  const drawing = script(
    readFileSync(new URL('./browser/draw.js', import.meta.url), 'utf8'),
    ' type="module"',
  );
  const charts: Chart[] = [];
  const sections = results.map((result) => section(result, charts));
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src ${library.hash} ${drawing.hash}`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width">
<title>viewstamp: ${results.map(({ name }) => name).join(', ')}</title>
<style>${new Html(read('uPlot.min.css'))}${new Html(STYLE)}</style>
</head>
<body>
<h1>viewstamp</h1>
${results.length > 1 ? overview(results) : ''}
${sections}
<script type="application/json" id="charts">${new Html(asScriptData(charts))}</script>
${library.tag}
${drawing.tag}
</body>
</html>
`;
  return page.text;
}

function best({ points }: Result): ResultPoint | undefined {
  return [...points].sort((a, b) => b.opsPerSecond - a.opsPerSecond)[0];
}

function overview(results: readonly Result[]): Html {
  const rows = results.map((result) => {
    const point = best(result);
    const figures =
      point === undefined
        ? html`<td></td><td></td><td></td>`
        : html`<td>${formatCount(point.opsPerSecond)}${mark(point)}</td><td>${formatMicros(point.p99Us)}</td><td>${nameOf(point, result.points)}</td>`;
    return html`<tr><th>${result.name}</th><td>${result.points.length}</td>${figures}</tr>`;
  });
  return html`<table><caption>Most throughput of each file</caption>
<thead><tr><th>file</th><th>combinations</th><th>ops/s</th><th>p99</th><th>with</th></tr></thead>
<tbody>${rows}</tbody></table>`;
}

function section(result: Result, charts: Chart[]): Html {
  const { name, command, points, tuning } = result;
  const maps = heatMaps(points);
  const entries = entryCharts(result);
  const parts: (Html | null)[] = [
    html`<h2>${name}</h2>`,
    command === null
      ? missing('The file does not say by which command line it was made.')
      : html`<pre>viewstamp ${command.map(quoted).join(' ')}</pre>`,
    tuning === null ? null : proposal(tuning, points.length),
    html`<h3>Figures</h3>`,
    figures(result),
    drawn(result).length < points.length
      ? missing(
          `Curves are drawn of ${drawn(result).length} of the ${points.length} combinations: of those that no other one beats in both throughput and p99.`,
        )
      : null,
    place(frontierChart(result), charts) ??
      missing('One combination was measured: there is nothing to weigh it against.'),
    place(timelineChart(result), charts) ?? missing('Throughput over time is not in this file.'),
    place(percentileChart(result), charts) ?? missing('Latency percentiles are not in this file.'),
    ...(entries.length > 0
      ? entries.map((chart) => place(chart, charts))
      : [
          missing(
            points.some((point) => point.entries !== null)
              ? 'Nothing was written: the log got no entries.'
              : 'How many requests and bytes an entry of the log had is not in this file.',
          ),
        ]),
    maps.length > 0
      ? html`<h3>Batch size and window</h3>${maps}`
      : missing('No sweep over batch size or window: no heat map.'),
    html`<h3>Where and how</h3>
<div class="facts">${[factTable('environment', result.environment), factTable('cluster', result.cluster), factTable('load', result.load)]}</div>`,
  ];
  return html`<section>${parts.filter((part) => part !== null)}</section>`;
}

function proposal(tuning: Tuning, tried: number): Html {
  const { objective, combinations, preliminary, firstRunOnly, options } = tuning;
  const of = combinations === null ? '' : ` of ${combinations}`;
  return html`<h3>${preliminary ? 'Preliminary proposal' : 'Proposal'} for ${objective}</h3>
${preliminary ? html`<p><strong>Best of ${tried}${of} combinations tried: the search ended before its first look at them was complete.</strong> More with --budget, or fewer values of --batch, --window and --linger, would say more.</p>` : combinations === null ? '' : html`<p>${tried}${of} combinations were tried.</p>`}
${firstRunOnly ? html`<p>There was time for the first run of the process only, which is slower than those that follow.</p>` : ''}
${tuning.proposal === null ? missing('Nothing was proposed: no combination answered without errors.') : html`<p>${tuning.proposal}</p>`}
${options === null ? '' : html`<pre>open(${options})</pre>`}`;
}

/** As it could be typed into a shell. */
function quoted(argument: string): string {
  return /^[\w.,:=/@%+-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}

function missing(text: string): Html {
  return html`<p class="missing">${text}</p>`;
}

function place(chart: Chart | null, charts: Chart[]): Html | null {
  if (chart === null) return null;
  charts.push(chart);
  return html`<div class="chart" data-chart="${charts.length - 1}"></div>`;
}

function mark({ doubtful }: ResultPoint): string {
  return doubtful.length > 0 ? ' ?' : '';
}

function figures({ points }: Result): Html {
  const head = [
    'fsync',
    'batch',
    'window',
    'linger',
    'ops/s',
    '±',
    'runs',
    'CPU-ns/op',
    'p50',
    'p99',
    'p99.9',
    'max',
    'errors',
    'capacity',
  ];
  const rows = points.map((point) => [
    point.fsync,
    point.batch,
    point.window,
    formatMicros(point.lingerMicros),
    formatCount(point.opsPerSecond) + mark(point),
    point.runs > 1 ? `${(point.spread * 100).toFixed(1)}%` : '-',
    point.runs,
    point.cpuNsPerOp.toFixed(0),
    formatMicros(point.p50Us),
    formatMicros(point.p99Us),
    formatMicros(point.p999Us),
    formatMicros(point.maxUs),
    formatCount(point.errors),
    point.capacity.toFixed(2),
  ]);
  const doubts = points
    .filter(({ doubtful }) => doubtful.length > 0)
    .map((point) => html`<li>${nameOf(point, points)}: ${point.doubtful.join(', ')}</li>`);
  return html`<div class="wide"><table><thead><tr>${head.map((name) => html`<th>${name}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div>
${doubts.length > 0 ? html`<details class="doubtful"><summary>? ${doubts.length} doubtful</summary><ul>${doubts}</ul></details>` : ''}`;
}

function factTable(caption: string, facts: readonly Fact[]): Html {
  return html`<table><caption>${caption}</caption>
<tbody>${facts.map(([name, value]) => html`<tr><th>${name}</th><td>${value}</td></tr>`)}</tbody></table>`;
}
