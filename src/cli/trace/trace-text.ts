import type { TracedCheck, TracedStage } from '../../sidecar/check/trace/traced-check.ts';
import { cureLines, whyLine, whyOf } from '../explain/why.ts';
import { instantText } from '../../sidecar/check/trace/detail.ts';

const MARKS: Readonly<Record<TracedStage['result'], string>> = { passed: '√', denied: '×', unused: '·' };
const NAME_COLUMN = 26;

/** A traced check as lines for people, not yet passed through `printable`. */
export function traceLines(check: TracedCheck): readonly string[] {
  const { decisionId, atMs, totalMs, stages } = check;
  const why = whyOf(check);
  const head = `${decisionId}  ${instantText(atMs) ?? '-'}  ${whyLine(why)}  ${msText(totalMs)}`;
  const denied = stages.find(({ result }) => result === 'denied');
  const tail =
    denied === undefined ? [] : [`decided at \`${denied.name}\`: what is marked \`·\` was read, and decided nothing`];
  return [head, ...stages.flatMap(stageLines), ...tail, ...cureLines(why)];
}

function stageLines({ name, result, ms, details }: TracedStage): readonly string[] {
  const time = ms === null ? '' : `  ${msText(ms)}${name === 'asked' ? ', with identity, token and action' : ''}`;
  return [
    `${MARKS[result]} ${name}${time}`,
    ...details.map(([key, value]) => `    ${key.padEnd(NAME_COLUMN)} ${value}`),
  ];
}

const msText = (ms: number): string => `${ms.toFixed(2)} ms`;
