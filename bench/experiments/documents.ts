// What an experiment leaves behind: its data, its figure, and its table in the README beside them. Whatever says figures there is
// written here, so that the text cannot say others than the data.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEnvironment, type Environment } from '#dist/cli/environment.js';
import { writable } from '#dist/cli/output.js';
import { UsageError } from '#dist/cli/usage.js';
import { describeCapacity } from '../cluster/comparison.js';
import type { Experiment, ExperimentOptions, Measured, Summary } from './experiment.js';
import { toSvg } from './figure.js';

export interface Document extends ExperimentOptions, Measured<unknown> {
  readonly kind: 'viewstamp.experiment';
  readonly schemaVersion: 1;
  readonly experiment: string;
  readonly env: Environment;
}

const README = 'README.md';

/**
 * Checked before anything is measured.
 * @throws UsageError when `folder` has no README that can be written and has room for the tables of `experiments`.
 */
export function checkReadme(folder: string, experiments: readonly Experiment[]): void {
  writable(join(folder, README));
  const readme = readReadme(folder);
  for (const { name } of experiments) placeOf(readme, name);
}

function readReadme(folder: string): string {
  try {
    return readFileSync(join(folder, README), 'utf8');
  } catch (error) {
    throw new UsageError(`'${folder}' has no ${README} to write to: ${(error as Error).message}`);
  }
}

const begin = (name: string): string => `<!-- ${name}: written by npm run experiments -->\n`;
const END = '<!-- end -->';

/** Where in the README the table of an experiment stands. @throws UsageError */
function placeOf(readme: string, name: string): { readonly from: number; readonly to: number } {
  const at = readme.indexOf(begin(name));
  const from = at + begin(name).length;
  const to = readme.indexOf(END, from);
  if (at < 0 || to < 0)
    throw new UsageError(`the ${README} has no '${begin(name).trim()}' with an '${END}' after it`);
  return { from, to };
}

/** @throws UsageError when there is no such document. */
export function readDocument(folder: string, name: string): Document {
  const path = join(folder, `${name}.json`);
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Document;
  } catch (error) {
    throw new UsageError(`'${path}' cannot be drawn: ${(error as Error).message}`);
  }
}

/** One row a line, so that a change of the data can be read. */
export function writeDocument(folder: string, document: Document): void {
  const { rows, ...head } = document;
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  const text = JSON.stringify(head, null, 2).replace(/\n\}$/, `,\n  "rows": [\n${lines}\n  ]\n}\n`);
  writeFileSync(join(folder, `${document.experiment}.json`), text);
}

/** The figure, and the table in the README. */
export async function draw(
  folder: string,
  experiment: Experiment,
  document: Document,
): Promise<void> {
  const { name } = experiment;
  const svg = await toSvg(experiment.figure(document.rows));
  writeFileSync(join(folder, `${name}.svg`), `${svg}\n`);
  const readme = readReadme(folder);
  const { from, to } = placeOf(readme, name);
  const text = [
    describeEnvironment(document.env),
    `${document.rounds} rounds · ${describeCapacity(document.capacity).replaceAll('\n', '\\\n')}`,
  ].join('\\\n');
  const written = `\n${markdownTable(experiment.summarise(document.rows))}\n\n${text}\n\n`;
  writeFileSync(join(folder, README), readme.slice(0, from) + written + readme.slice(to));
}

function markdownTable({ head, rows }: Summary): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}
