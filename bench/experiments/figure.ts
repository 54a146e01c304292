// Figures as SVG, without a DOM: vega-lite says what they mean, vega draws them.

import { parse, View } from 'vega';
import { compile, type TopLevelSpec } from 'vega-lite';

/** One of several beside each other. */
export type Panel = Extract<TopLevelSpec, { hconcat: unknown }>['hconcat'][number];

/** Of one panel, pixels. */
export const PANEL = { width: 300, height: 240 } as const;

/** A white ground: figures are also looked at on dark pages. */
const CONFIG = {
  background: 'white',
  font: 'sans-serif',
  legend: { orient: 'bottom', columns: 2, labelLimit: 300 },
  point: { size: 40, filled: true },
} as const;

export async function toSvg(figure: TopLevelSpec): Promise<string> {
  const { spec } = compile(figure, { config: CONFIG });
  const view = new View(parse(spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
