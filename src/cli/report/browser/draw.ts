// The script of the page: draws every chart that the page carries into its place. It becomes part of the page as it is, so it
// imports nothing but types; uPlot stands in the page before it.

import type UPlot from 'uplot';
import type { Chart, Series } from './chart.js';

declare const uPlot: typeof UPlot;

const HEIGHT = 320;
/** Okabe and Ito's, told apart by most eyes. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000', '#999'];
const LOGARITHMIC = 3;
/** Of the space between two bands, what their bars take. */
const BAND_SHARE = 0.8;
/** Room for the name of a band. */
const BAND_PIXELS = 80;
/** Positions and widths of bars are values of the x scale. */
const BY_VALUE = 1;

function percentile(x: number): string {
  return `${Number((100 - 100 / x).toPrecision(8))} %`;
}

function fromZero(_: UPlot, __: number, most: number): [number, number] {
  return [0, most * 1.05];
}

/** How a value of x is written; null: as a number. */
function writing({ xScale, bands = [] }: Chart): ((x: number) => string) | null {
  if (xScale === 'percentile') return percentile;
  return xScale === 'bands' ? (x) => bands[x] ?? '' : null;
}

function xScale({ xScale: kind, x }: Chart): UPlot.Scale {
  if (kind === 'linear') return { time: false };
  if (kind === 'bands') return { time: false, range: [-0.5, x.length - 0.5] };
  return { time: false, distr: LOGARITHMIC };
}

function xAxis(chart: Chart): UPlot.Axis {
  const write = writing(chart);
  const axis = { label: chart.xLabel, size: 50 };
  if (write === null) return axis;
  const values = (_: UPlot, splits: (number | null)[]): string[] =>
    splits.map((split) => (split === null ? '' : write(split)));
  if (chart.xScale !== 'bands') return { ...axis, values };
  const splits = ({ width }: UPlot): number[] => {
    const step = Math.ceil((chart.x.length * BAND_PIXELS) / width);
    return chart.x.filter((_, index) => index % step === 0);
  };
  return { ...axis, values, splits };
}

/** Those of the series `index` of `count`. */
function bars(index: number, count: number): UPlot.Series.PathBuilder {
  const width = BAND_SHARE / count;
  const left = index * width - BAND_SHARE / 2;
  const x0 = { unit: BY_VALUE, values: ({ data: [x] }: UPlot) => [...x].map((at) => at + left) };
  const build = uPlot.paths.bars as UPlot.Series.BarsPathBuilderFactory;
  return build({ disp: { x0, size: { unit: BY_VALUE, values: () => [width] } } });
}

function seriesOf({ label, style }: Series, index: number, all: readonly Series[]): UPlot.Series {
  const stroke = COLOURS[index % COLOURS.length] as string;
  const common = { label, stroke };
  switch (style) {
    case 'line':
      return { ...common, width: 2, spanGaps: true };
    case 'points':
      return { ...common, paths: () => null, points: { show: true, size: 7, fill: stroke } };
    case 'bars': {
      const paths = bars(index, all.length);
      return { ...common, width: 0, fill: stroke, points: { show: false }, paths };
    }
  }
}

function optionsOf(chart: Chart, width: number): UPlot.Options {
  const write = writing(chart);
  return {
    title: chart.title,
    width,
    height: HEIGHT,
    scales: {
      x: xScale(chart),
      y: chart.yScale === 'linear' ? { range: fromZero } : { distr: LOGARITHMIC },
    },
    axes: [xAxis(chart), { label: chart.yLabel, size: 80 }],
    series: [
      {
        label: chart.xLabel,
        ...(write === null
          ? {}
          : { value: (_: UPlot, x: number | null) => (x === null ? '--' : write(x)) }),
      },
      ...chart.series.map(seriesOf),
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
