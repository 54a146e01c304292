// `viewstamp tune` finds something and says how to use it; `viewstamp report` makes a page of it that is whole in itself. What the
// search decides, and what the curves are made of, is tested without threads in test/cli.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext, runInNewContext } from 'node:vm';
import { type DefaultTreeAdapterTypes, parse } from 'parse5';
import { describe, expect, test } from 'vitest';
import { renderPage } from '#dist/cli/report/page.js';
import { parseResult } from '#dist/cli/report/result-file.js';
import { type Place, resultDocument } from '../cli/result-document.js';
import { refused, scratch, viewstamp } from './fixtures/command.js';

const HOSTILE = `</script><img src="http://192.0.2.1/x" onerror="alert(1)">'&amp;`;

type Element = DefaultTreeAdapterTypes.Element;

/** All elements, and all text outside of scripts and styles; fails where a browser would have to guess. */
function browse(page: string): { elements: Element[]; text: string } {
  const elements: Element[] = [];
  const texts: string[] = [];
  const walk = (node: DefaultTreeAdapterTypes.ChildNode): void => {
    if (node.nodeName === '#text' && 'value' in node) texts.push(node.value);
    if (!('tagName' in node)) return;
    elements.push(node);
    if (!['script', 'style'].includes(node.tagName))
      for (const child of node.childNodes) walk(child);
  };
  const onParseError = (error: object): void => expect.fail(JSON.stringify(error));
  for (const node of parse(page, { onParseError, sourceCodeLocationInfo: true }).childNodes)
    walk(node as DefaultTreeAdapterTypes.ChildNode);
  return { elements, text: texts.join(' ').replace(/\s+/g, ' ') };
}

function attribute(element: Element, name: string): string | undefined {
  return element.attrs.find((one) => one.name === name)?.value;
}

function content(element: Element | undefined): string {
  const [node] = element?.childNodes ?? [];
  return node !== undefined && 'value' in node ? node.value : '';
}

/** What the script of the page asks uPlot to draw. */
function charts(elements: readonly Element[]): { title: string; data: unknown[][] }[] {
  const scripts = elements.filter(({ tagName }) => tagName === 'script');
  const [figures, , drawing] = scripts.map(content);
  const asked: { title: string; data: unknown[][] }[] = [];
  const places = elements
    .map((element) => attribute(element, 'data-chart'))
    .filter((chart) => chart !== undefined)
    .map((chart) => ({ dataset: { chart }, clientWidth: 800 }));
  const context = createContext({
    document: {
      getElementById: (id: string) => (id === 'charts' ? { textContent: figures } : null),
      querySelectorAll: (selector: string) => (selector === '[data-chart]' ? places : []),
    },
    addEventListener: () => {},
    uPlot: Object.assign(
      function uPlot(options: { title: string }, data: unknown[][]) {
        asked.push({ title: options.title, data });
      },
      { paths: { bars: () => () => null } },
    ),
  });
  runInContext((drawing ?? '').replace(/^export \{\};$/m, ''), context);
  return asked;
}

/** The page of a file, made by the command. */
async function report(result: string): Promise<string> {
  const path = join(scratch(), 'page.html');
  const { code, stdout, stderr } = await viewstamp('report', result, '-o', path);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toMatch(/page\.html: \d+\.\d KiB\n$/);
  return readFileSync(path, 'utf8');
}

/** The page of files `1.json`, `2.json` ... with that in them. */
function pageOf(...documents: object[]): string {
  return renderPage(
    documents.map((document, index) => parseResult(`${index + 1}.json`, JSON.stringify(document))),
  );
}

describe('tune', () => {
  test('ends with the frontier, a plot and the options to paste; --write has them and every run', async () => {
    const path = join(scratch(), 'tune.json');
    const space = ['--batch', '64,8', '--window', '4,32', '--linger', '0', '--for', 'throughput'];
    const brief = ['--budget', '5s', '--keyspace', '100', '--pretouch', '0', '--quiet'];
    const { code, stdout, stderr } = await viewstamp('tune', ...space, ...brief, '--write', path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/│ +│ batch │ window │ linger │ +ops\/s │ +p99 │ runs │/);
    expect(stdout).toMatch(/^│ ◆ +│ +(8|64) │ +(4|32) │ +0us │/m);
    // How far a search comes in a given time is up to the machine.
    expect(stdout).toMatch(
      /\n(For|Best of \d of 4 combinations tried, for) most throughput \(median of .*\): [\d,]+ operations\/s, p99 /,
    );
    expect(stdout.startsWith('? preliminary')).toBe(
      !JSON.parse(readFileSync(path, 'utf8')).complete,
    );
    expect(stdout).toMatch(
      / of 4 combinations measured in .*, runs: \d+; capacity of two threads \d/,
    );
    const written = JSON.parse(readFileSync(path, 'utf8'));
    const { batch, window } = written.proposal;
    expect(written).toMatchObject({
      kind: 'viewstamp.tune',
      schemaVersion: 1,
      command: ['tune', ...space, ...brief, '--write', path],
      objective: 'throughput',
      budgetMs: 5000,
      combinations: 4,
      options: { batch: { maxOps: batch, window, lingerMicros: 0 } },
    });
    const pasted = /^open\((.*)\);$/m.exec(stdout)?.[1];
    expect(runInNewContext(`(${pasted})`)).toEqual(written.options);
    expect([8, 64]).toContain(batch);
    expect(written.frontier).toContainEqual(written.proposal);
    const runs = written.summary.map((row: { runs: number }) => row.runs);
    expect(runs.reduce((sum: number, one: number) => sum + one, 0)).toBe(written.runs.length);
    for (const run of written.runs)
      expect(run).toMatchObject({ errors: 0, capacityBefore: expect.any(Number) });
    const { text } = browse(await report(path));
    expect(text).toMatch(/(P|Preliminary p)roposal for throughput/);
    expect(text).toContain(Math.round(written.proposal.opsPerSecond).toLocaleString('en-US'));
    expect(text).toContain(written.env.cpu);
  });

  test.each([
    [['--write', 'x.csv'], "'x.csv' must end in .json"],
    [['-o', 'x.csv'], "'x.csv' must end in .json"],
    [['--data', '.', '--fsync', 'batch,none'], '--fsync batch,none: give one of them'],
    [['--batch', '1024', '-d', '64KiB'], 'open, at most 256.0 MiB are allowed'],
  ])('%j is refused', async (args, said) => {
    expect(await refused(['tune', ...args])).toContain(said);
  });
});

describe('report', () => {
  const SWEEP: readonly Place[] = [
    { batch: 8, window: 4 },
    { batch: 'auto', window: 4 },
    { batch: 8, window: 32 },
  ];

  test('has the figures of every file, and draws them', () => {
    const first = resultDocument(SWEEP);
    first.summary[2]?.doubtful.push('capacity 1.21 of 2 threads');
    const { runs: _, command: __, ...second } = resultDocument(SWEEP.slice(0, 1));
    for (const row of second.summary) Object.assign(row, { entries: undefined });
    const { elements, text } = browse(pageOf(first, second));
    for (const said of [
      "viewstamp bench --batch '8, 64'",
      'auto 4 0us 2,048,000 5.0% 2 900 2.05ms 4.10ms 6.14ms 10.00ms 0 1.90',
      '256,000 ?',
      'batch 8, window 32: capacity 1.21 of 2 threads',
      'mix {"get":50,"set":50}',
      'The file does not say by which command line it was made.',
      'Throughput over time is not in this file.',
      'How many requests and bytes an entry of the log had is not in this file.',
      'No sweep over batch size or window: no heat map.',
    ])
      expect(text).toContain(said);
    expect(elements.filter((one) => attribute(one, 'class') === 'heat')).toHaveLength(2);
    const drawn = charts(elements);
    expect(drawn.map(({ title }) => title)).toEqual([
      'Throughput against p99',
      'Throughput over time (last run of each)',
      'Latency percentiles',
      'Requests per entry of the log',
      'Bytes per entry of the log',
      'Latency percentiles',
    ]);
    expect(drawn[3]?.data.slice(0, 2)).toEqual([
      [0, 1, 2, 3, 4, 5],
      [75, 0, 25, 0, 0, 0],
    ]);
    expect(drawn[0]?.data.slice(0, 2)).toEqual([
      [64, 512, 4096],
      [32_000, 256_000, 2_048_000],
    ]);
  });

  test('says of a search what it did not get to', () => {
    const proposed = { batch: 8, window: 4, lingerMicros: 0, opsPerSecond: 5, p99Us: 7, runs: 1 };
    const tuned = (more: object) => ({
      ...resultDocument(SWEEP),
      kind: 'viewstamp.tune',
      objective: 'knee',
      proposal: proposed,
      ...more,
    });
    const textOf = (more: object): string => browse(pageOf(tuned(more))).text;
    const unfinished = textOf({ complete: false, combinations: 28, firstRunOnly: true });
    expect(unfinished).toContain('Preliminary proposal for knee');
    expect(unfinished).toContain('Best of 3 of 28 combinations tried');
    expect(unfinished).toContain('5 operations/s, p99 7us (one run)');
    expect(unfinished).toContain('the first run of the process only');
    const whole = textOf({
      complete: true,
      combinations: 28,
      proposal: { ...proposed, runs: 4 },
    });
    expect(whole).toContain(' Proposal for knee 3 of 28 combinations were tried. ');
    expect(whole).toContain('(medians of 4 runs)');
    expect(whole).not.toMatch(/[Pp]reliminary|first run/);
    // Of a version that did not write it.
    expect(textOf({})).toMatch(/ Proposal for knee batch 8/);
  });

  test('loads nothing, and runs only the scripts that it was made with', () => {
    const { elements } = browse(pageOf(resultDocument(SWEEP)));
    const loading = ['src', 'href', 'srcset', 'data', 'action', 'poster', 'style'];
    for (const { tagName, attrs } of elements)
      for (const { name, value } of attrs)
        if (loading.includes(name))
          expect(`${tagName} ${name} ${value}`).toMatch(/^td style --heat/);
    const of = (tag: string): string[] =>
      elements.filter(({ tagName }) => tagName === tag).map(content);
    for (const style of of('style')) expect(style).not.toMatch(/url\(|@import/);
    const [, ...scripts] = of('script');
    const hashes = scripts.map(
      (source) => `'sha256-${createHash('sha256').update(source).digest('base64')}'`,
    );
    expect(hashes).toHaveLength(2);
    const policy = elements.find((one) => attribute(one, 'http-equiv') !== undefined);
    expect(policy && attribute(policy, 'content')).toBe(
      `default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(' ')}`,
    );
  });

  test('shows what a file says as text, whatever it says', () => {
    const plain = { ...resultDocument(SWEEP), kind: 'viewstamp.tune', objective: 'knee' };
    const hostile = resultDocument(SWEEP);
    Object.assign(hostile, {
      kind: 'viewstamp.tune',
      objective: HOSTILE,
      command: [HOSTILE],
      env: { [HOSTILE]: HOSTILE },
      options: { [HOSTILE]: HOSTILE },
    });
    for (const row of [...hostile.summary, ...hostile.runs, ...hostile.histogram])
      row.fsync = HOSTILE;
    for (const row of plain.summary) row.doubtful.push('spread');
    for (const row of hostile.summary) row.doubtful.push(HOSTILE);
    const tags = (document: object) => {
      const { elements, text } = browse(pageOf(document));
      return { elements, text, tags: elements.map(({ tagName }) => tagName) };
    };
    const [expected, found] = [tags(plain), tags(hostile)];
    // A field more in its options, and a way to flush that has a name.
    expect(new Set(found.tags)).toEqual(new Set([...expected.tags, 'pre']));
    expect(found.text.split(HOSTILE).length).toBeGreaterThan(8);
    expect(JSON.stringify(charts(found.elements))).toContain('Latency percentiles');
  });

  test.each([
    ['none.json', null, /none\.json: ENOENT/],
    ['demo.json', '{"kind":"viewstamp.demo"}', /demo\.json: the result\.kind is "viewstamp\.demo"/],
  ])('%s is refused, and nothing written', async (name, written, said) => {
    const folder = scratch();
    const path = join(folder, name);
    if (written !== null) writeFileSync(path, written);
    const page = join(folder, 'page.html');
    const good = join(folder, 'good.json');
    writeFileSync(good, JSON.stringify(resultDocument(SWEEP)));
    expect(await refused(['report', good, path, '-o', page])).toMatch(said);
    expect(existsSync(page)).toBe(false);
  });

  test('a page is refused another suffix', async () => {
    expect(await refused(['report', 'x.json', '-o', 'x.pdf'])).toContain(
      "'x.pdf' must end in .html",
    );
  });
});
