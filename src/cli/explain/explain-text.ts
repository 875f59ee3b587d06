/** An explanation of a decision as text for people. */
import { cures } from '../../core/decision/cures.ts';
import { reasons } from '../../core/decision/reasons.ts';
import type { ReasonCode } from '../../core/decision/reasons.ts';
import type { IntentRecord } from '../../core/ledger/record.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import type { FoundDecision } from './explained-use.ts';

/** A decision in plain words. */
export interface ExplainedDecision {
  readonly decisionId: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: string | null;
  /** What was asked. */
  readonly asked: readonly string[];
  /** What was decided, why and by what. */
  readonly decided: readonly string[];
  /** What would have to differ; empty for an allow. */
  readonly differ: readonly string[];
  /** Commands and pages to go on with. */
  readonly next: readonly string[];
}

/** @param needed what would change the answer of the policies, each tried */
export function explainedDecision(
  { record, purpose, others }: FoundDecision,
  needed: readonly string[],
): ExplainedDecision {
  const { decisionId, decision } = record;
  const reason = record.kind === 'use' ? record.reason : record.error;
  return {
    decisionId,
    decision,
    reason,
    asked: record.kind === 'use' ? askedOf(record, purpose) : intentAsked(record),
    decided: decidedOf(record, reason),
    differ: decision === 'allow' ? [] : [...cureOf(record), ...needed],
    next: nextOf(record, others),
  };
}

/** An explanation for people, not yet passed through `printable`. */
export function explainedLines({ asked, decided, differ, next }: ExplainedDecision): readonly string[] {
  return [
    ...part('what was asked', asked),
    ...part('what was decided', decided),
    ...part('what would have to differ', differ),
    ...part('next', next),
  ].slice(0, -1);
}

const part = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`), ''];

function askedOf(record: PlacedUse, purpose: string | null): readonly string[] {
  const { agent, refusedCaller, method, host, path, action, task, credential, at, tokenUse } = record;
  const caller =
    agent ??
    (refusedCaller === null ? 'a caller without an identity' : `a refused caller that showed \`${refusedCaller.id}\``);
  const call = host === '' ? 'a call that could not be read' : `${method} https://${host}${path}`;
  return [
    `${new Date(at).toISOString()}: ${call}`,
    `by ${caller}`,
    action === null
      ? 'which is no action of the catalog, or was refused before that was looked up'
      : `the action \`${action}\``,
    ...(credential === null
      ? ['with no credential that was verified']
      : [`with a ${credential.replaceAll('-', ' ')}${tokenUse === null ? '' : `, use ${tokenUse} of it`}`]),
    ...(task === null ? [] : [`in task ${task}${purpose === null || purpose === '' ? '' : `: ${purpose}`}`]),
  ];
}

const intentAsked = ({ at, agent, purpose, parent }: IntentRecord): readonly string[] => [
  `${new Date(at).toISOString()}: a task for an intent${parent === null ? '' : `, below task ${parent}`}`,
  `by ${agent ?? 'a client without an identity'}`,
  ...(purpose === null || purpose === '' ? [] : [`its purpose: ${purpose}`]),
];

function decidedOf(record: PlacedUse | IntentRecord, reason: string | null): readonly string[] {
  const { decision, detail, policyIds, policySet } = record;
  const by =
    policyIds.length === 0
      ? []
      : [
          `by ${policyIds.length === 1 ? 'the policy' : 'the policies'} ${policyIds.map((id) => `\`${id}\``).join(', ')}`,
        ];
  const set = policySet === null ? [] : [`policy set ${policySet}`];
  if (decision === 'allow') return ['allowed', ...by, ...set];
  const reasonText = record.kind === 'use' && record.reason !== null ? `: ${reasons[record.reason].text}` : '';
  const withdrew =
    record.kind === 'use' && record.withdraws !== undefined
      ? [`the policies had allowed it (${record.withdraws}); that was taken back before anything was answered`]
      : [];
  return [
    `denied, ${reason ?? 'without a reason'}${reasonText}`,
    ...(detail === null ? [] : [`the cause: ${detail}`]),
    ...by,
    ...set,
    ...withdrew,
  ];
}

const cureOf = (record: PlacedUse | IntentRecord): readonly string[] =>
  record.kind === 'use' && record.reason !== null ? [cures[record.reason]] : [];

/** Reasons whose denials a test case can repeat. */
const OF_POLICIES: ReadonlySet<ReasonCode> = new Set([
  'policy.forbidden',
  'policy.not-permitted',
  'action.outside-intent',
  'action.unknown',
]);

function nextOf(record: PlacedUse | IntentRecord, others: readonly string[]): readonly string[] {
  const { decisionId, task } = record;
  const page = record.kind === 'use' && record.reason !== null ? [`deploy/guide/fix/reasons.md#${record.reason}`] : [];
  const isOfPolicies = record.kind === 'use' && record.reason !== null && OF_POLICIES.has(record.reason);
  return [
    ...page,
    ...(isOfPolicies ? [`remit policy explain ${decisionId}`, `remit policy explain ${decisionId} --as-test`] : []),
    ...(task === null ? [] : [`remit task show ${task}`]),
    `remit ledger query --decision-id ${decisionId}`,
    ...others.map((other) => `remit explain ${other}, of the same trace`),
  ];
}
