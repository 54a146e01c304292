// `viewstamp report`: results that were written to files, as one page to look at and to pass on. It needs no network, neither to be
// made nor to be read.

import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { type Command, Option } from 'commander';
import { value } from './flags.js';
import { writable } from './output.js';
import { renderPage } from './report/page.js';
import { readResult } from './report/result-file.js';
import { formatBytes } from './units.js';
import { UsageError } from './usage.js';

export function registerReport(program: Command): void {
  program
    .command('report')
    .description('render results of bench and tune as one HTML page that needs no network')
    .argument('<result.json...>', 'files that `bench -o x.json` or `tune --write x.json` wrote')
    .addOption(
      new Option('-o, --output <file>', 'where to write the page')
        .argParser(value(pageFile))
        .default('report.html'),
    )
    .action((paths: string[], flags: { readonly output: string }) => {
      const path = writable(flags.output);
      const page = renderPage(paths.map(readResult));
      writeFileSync(path, page);
      process.stderr.write(`${path}: ${formatBytes(Buffer.byteLength(page))}\n`);
    });
}

/** @throws UsageError */
function pageFile(path: string): string {
  if (extname(path) !== '.html') throw new UsageError(`'${path}' must end in .html`);
  return path;
}
