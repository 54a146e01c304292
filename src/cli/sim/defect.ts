// The two defects of VR Revisited, told as a story: with the defect, and with the rule that closes it.

import {
  PAPER_DEFECTS,
  type PaperDefectName,
  type PaperDefectRun,
  runPaperDefect,
} from '../../simulation/paper-defects.js';
import { EXIT_FAILED } from '../usage.js';

/** @returns the exit code: 0 when the defect does its harm and the rule prevents it. */
export function tellPaperDefect(name: PaperDefectName, format: 'table' | 'json'): number {
  const broken = runPaperDefect(name, { withDefect: true });
  const sound = runPaperDefect(name, { withDefect: false });
  const text = format === 'json' ? defectJson : defectText;
  process.stdout.write(`${text(name, broken, sound)}\n`);
  return broken.violation !== null && sound.violation === null ? 0 : EXIT_FAILED;
}

function defectText(name: PaperDefectName, broken: PaperDefectRun, sound: PaperDefectRun): string {
  const { source, paper, rule } = PAPER_DEFECTS[name];
  const tell = (title: string, run: PaperDefectRun): string[] => [
    '',
    title,
    ...run.story.map((line) => `  ${line}`),
    run.violation === null ? '  => no invariant is broken' : `  => VIOLATED ${run.violation}`,
  ];
  return [
    `${name}: ${source}`,
    ...tell(`As published. ${paper}`, broken),
    ...tell(`As implemented. ${rule}`, sound),
  ].join('\n');
}

function defectJson(name: PaperDefectName, broken: PaperDefectRun, sound: PaperDefectRun): string {
  const { source, paper, rule } = PAPER_DEFECTS[name];
  const document = {
    kind: 'viewstamp.paperDefect',
    schemaVersion: 1,
    ...{ name, source, paper, rule },
    published: broken,
    implemented: sound,
  };
  return JSON.stringify(document, null, 2);
}
