// The script of the page: draws every chart that the page carries into its place. It becomes part of the page as it is, so it
// imports nothing but types; uPlot stands in the page before it.

import type UPlot from 'uplot';
import type { Chart } from './chart.js';

declare const uPlot: typeof UPlot;

const HEIGHT = 320;
/** Okabe and Ito's, told apart by most eyes. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000', '#999'];
const LOGARITHMIC = 3;

function percentile(x: number): string {
  return `${Number((100 - 100 / x).toPrecision(8))} %`;
}

function fromZero(_: UPlot, __: number, most: number): [number, number] {
  return [0, most * 1.05];
}

function axis(label: string, isPercentile: boolean): UPlot.Axis {
  const values = (_: UPlot, splits: (number | null)[]): string[] =>
    splits.map((split) => (split === null ? '' : percentile(split)));
  return { label, size: 80, ...(isPercentile ? { values } : {}) };
}

function optionsOf(chart: Chart, width: number): UPlot.Options {
  const isPercentile = chart.xScale === 'percentile';
  return {
    title: chart.title,
    width,
    height: HEIGHT,
    scales: {
      x: { time: false, ...(chart.xScale === 'linear' ? {} : { distr: LOGARITHMIC }) },
      y: chart.yScale === 'linear' ? { range: fromZero } : { distr: LOGARITHMIC },
    },
    axes: [{ ...axis(chart.xLabel, isPercentile), size: 50 }, axis(chart.yLabel, false)],
    series: [
      {
        label: chart.xLabel,
        ...(isPercentile
          ? { value: (_: UPlot, x: number | null) => (x === null ? '--' : percentile(x)) }
          : {}),
      },
      ...chart.series.map(({ label, style }, index): UPlot.Series => {
        const stroke = COLOURS[index % COLOURS.length] as string;
        return style === 'line'
          ? { label, stroke, width: 2, spanGaps: true }
          : { label, stroke, paths: () => null, points: { show: true, size: 7, fill: stroke } };
      }),
    ],
  };
}

function draw(place: HTMLElement, chart: Chart): void {
  const data = [chart.x, ...chart.series.map(({ y }) => y)] as unknown as UPlot.AlignedData;
  const plot = new uPlot(optionsOf(chart, place.clientWidth), data, place);
  addEventListener('resize', () => plot.setSize({ width: place.clientWidth, height: HEIGHT }));
}

const charts = JSON.parse(document.getElementById('charts')?.textContent ?? '[]') as Chart[];
for (const place of document.querySelectorAll<HTMLElement>('[data-chart]')) {
  const chart = charts[Number(place.dataset['chart'])];
  if (chart !== undefined) draw(place, chart);
}
