import type { FindingRecord } from '../../core/ledger/outcome-record.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import type { FindingKind } from './finding-budget.ts';

const texts: Readonly<Record<FindingKind, string>> = {
  bypass: 'a call reached an upstream without a check',
  'failure-mode-allowed': 'a call reached an upstream although its check failed',
  'denied-but-served': 'a call reached an upstream although it was denied',
  'outcome-missing': 'the outcome of a use is missing',
  'access-log-lost': 'the access log disconnected, so uses have no outcome',
};

/** A finding as one log line for operators. Control characters in text of clients are replaced. */
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
