import type { FindingRecord } from '../ledger/record.ts';
import { printable } from '../ledger/timeline-text.ts';
import type { FindingKind } from './finding-budget.ts';

const texts: Readonly<Record<FindingKind, string>> = {
  bypass: 'a call went to an upstream without a check',
  'failure-mode-allowed': 'a call went to an upstream though its check failed',
  'denied-but-served': 'a call went to an upstream though it was denied',
  'outcome-missing': 'the outcome of a use is missing',
  'access-log-lost': 'the access log disconnected, and uses are without an outcome',
};

/** A finding as a line for operators; control characters of clients are replaced. */
export function findingLine({ finding, count, decisionId, task, agent, details }: FindingRecord): string {
  const known = { decision: decisionId, task, agent, ...details };
  const words = Object.entries(known).filter(([, value]) => value !== null && value !== '');
  const many = count === 1 ? '' : ` (${count} times more)`;
  return printable(
    [`finding ${finding}: ${texts[finding]}${many}`, ...words.map(([name, value]) => `${name}=${String(value)}`)].join(
      ' ',
    ),
  );
}
