/** An explanation of a decision as text for people. */
import type { ReasonCode } from '../../core/decision/reasons.ts';
import type { IntentRecord } from '../../core/ledger/record.ts';
import type { PlacedUse } from '../../core/ledger/recorded-use.ts';
import type { RecordedTask } from '../../tools/policy/compare/recorded-task.ts';
import { countedLines } from './counted-lines.ts';
import type { FoundDecision } from './found-decision.ts';
import { whyOf } from './why.ts';
import type { Why } from './why.ts';

/** A decision in plain words. */
export interface ExplainedDecision {
  readonly decisionId: string;
  readonly decision: 'allow' | 'deny';
  readonly reason: string | null;
  /** Whether it was observed, and passed although enforcing would have decided so. */
  readonly hasPassed: boolean;
  /** What was asked. */
  readonly asked: readonly string[];
  /** What was decided, why and by what. */
  readonly decided: readonly string[];
  /** What would have to differ; empty for an allow. */
  readonly differ: readonly string[];
  /** Commands and pages for the next step. */
  readonly next: readonly string[];
}

/** @param needed what would change the answer of the policies, each tried */
export function explainedDecision(
  { record, hasPassed, task, others }: FoundDecision,
  needed: readonly string[],
): ExplainedDecision {
  const why = whyOf(record);
  const { decision, reason, cure } = why;
  return {
    decisionId: record.decisionId,
    decision,
    reason,
    hasPassed,
    asked: record.kind === 'use' ? askedOf(record, purposeOf(task)) : intentAsked(record),
    decided: [...(hasPassed ? passedOf(record) : []), ...decidedOf(record, why)],
    differ: [...(cure === null ? [] : [cure]), ...needed],
    next: nextOf(record, why, others),
  };
}

function purposeOf(task: RecordedTask | null): string | null {
  const intent = task?.records.find((entry) => entry.kind === 'intent');
  return task?.stored?.purpose ?? (intent?.kind === 'intent' ? intent.purpose : null);
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

const passedOf = (record: PlacedUse | IntentRecord): readonly string[] => [
  `it passed: its calls are only observed${record.kind === 'use' && record.entry !== undefined ? `, by the entry \`${record.entry}\` of \`enforcement.yaml\`` : ''}. Enforced it would be:`,
];

const intentAsked = ({ at, agent, purpose, parent }: IntentRecord): readonly string[] => [
  `${new Date(at).toISOString()}: a task for an intent${parent === null ? '' : `, below task ${parent}`}`,
  `by ${agent ?? 'a client without an identity'}`,
  ...(purpose === null || purpose === '' ? [] : [`its purpose: ${purpose}`]),
];

function decidedOf(
  record: PlacedUse | IntentRecord,
  { decision, reason, stage, meaning, cause, policies }: Why,
): readonly string[] {
  const one = policies.length === 1 ? 'the policy' : 'the policies';
  const by = policies.length === 0 ? [] : [`by ${one} ${policies.map((id) => `\`${id}\``).join(', ')}`];
  const set = record.policySet === null ? [] : [`policy set ${record.policySet}`];
  const counted = record.kind === 'use' ? countedLines(record.limits) : [];
  if (decision === 'allow') return ['allowed', ...by, ...set, ...counted];
  return [
    `denied, ${reason ?? 'without a reason'}${meaning === null ? '' : `: ${meaning}`}`,
    ...(stage === null ? [] : [`at the stage \`${stage}\``]),
    ...(cause === null ? [] : [`the cause: ${cause}`]),
    ...by,
    ...set,
    ...counted,
    ...(record.kind === 'use' && record.withdraws !== undefined
      ? [`the policies had allowed it (${record.withdraws}); that was taken back before anything was answered`]
      : []),
  ];
}

/** Reasons whose denials a test case can repeat. */
const OF_POLICIES: ReadonlySet<ReasonCode> = new Set([
  'policy.forbidden',
  'policy.not-permitted',
  'action.outside-intent',
  'action.unknown',
]);

function nextOf(record: PlacedUse | IntentRecord, { page }: Why, others: readonly string[]): readonly string[] {
  const { decisionId, task, reason } = record;
  const isOfPolicies = record.kind === 'use' && reason !== null && OF_POLICIES.has(reason);
  return [
    ...(page === null ? [] : [page]),
    ...(isOfPolicies ? [`remit policy explain ${decisionId}`, `remit policy explain ${decisionId} --as-test`] : []),
    ...(reason === 'limit.exceeded' ? ['remit limits'] : []),
    ...(task === null ? [] : [`remit task show ${task}`]),
    `remit ledger query --decision-id ${decisionId}`,
    ...others.map((other) => `remit explain ${other}, of the same trace`),
  ];
}
