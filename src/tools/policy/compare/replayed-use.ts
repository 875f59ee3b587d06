import { isDeny } from '../../../core/decision/decision.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import { enforcedUse } from '../../../core/ledger/enforced-use.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import type { PlacedUse } from '../../../core/ledger/recorded-use.ts';
import { callFrom } from '../../../core/policy/engine.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { Known } from './partial.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { Question } from '../../../core/policy/question.ts';
import type { PolicySetChanges, SetChanges } from './set-changes.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { doubtsAbout, labelsOf, recordedWith } from './recorded-task.ts';
import type { Doubt, RecordedTask } from './recorded-task.ts';
import { partialRehearser, readCaseOf, withContent } from './replay.ts';
import type { PartialRehearsal } from './replay.ts';
import type { CaseCircumstances } from '../cases/test-case.ts';
import { unknownToCatalogs, unknownValues } from './unrecorded.ts';

/** A recorded use, decided again by two policy sets. */
export interface ReplayedUse {
  readonly action: string;
  readonly agent: string;
  /** By the first and the second set. */
  readonly decisions: readonly [Decision, Decision];
  /** Unrecorded facts on which a decision depends, in words, sorted; if there are any, there are no decisions. */
  readonly missing: readonly string[];
}

/**
 * Decides recorded uses again with two sets. Nothing is missing if the first set repeats the recorded decision, and each
 * policy of both sets that reads unrecorded facts has its result in the record. A problem if no case can be made from a record.
 *
 * @param changes differences between the sets
 */
export function useReplayer(
  [former, other]: readonly [PolicySet, PolicySet],
  changes: SetChanges,
): (record: PlacedUse, task: RecordedTask | null) => ReplayedUse | Problem {
  const [byFormer, byOther] = [partialRehearser(former), partialRehearser(other)];
  const touched = new Set([...changes.policies.added, ...changes.policies.changed]);
  return (recorded, task) => {
    const record = enforcedUse(recorded);
    const read = readCaseOf(record, recordedWith(record, task, former.catalog));
    if (isProblem(read)) return read;
    const { circumstances } = read.test;
    const attempt = withContent(read.test.attempt, record, former.catalog);
    const doubts = doubtsAbout(record, task);
    const isOfFormer = record.policySet === former.hash;
    const matched = isOfFormer ? matchedBy(record) : () => undefined;
    const before = byFormer({ attempt, circumstances }, (question) => ({
      unknown: unknownIn(former, question, { record, doubts }),
      matched,
    }));
    const after = byOther({ attempt, circumstances: underCatalog(circumstances, other) }, (question) => {
      const isSame = !isProblem(before) && isSameRequest([before.question, former], [question, other]);
      return {
        unknown: unknownIn(other, question, { record, doubts }),
        matched: (policy) => (isSame && !touched.has(policy.id) ? matched(policy) : undefined),
      };
    });
    if (isProblem(before)) return before;
    if (isProblem(after)) return after;
    const targets = [before.target?.action ?? null, after.target?.action ?? null] as const;
    const unknown = [
      ...before.undecided,
      ...after.undecided,
      ...unknownToCatalogs(record, targets, doubts),
      // It is not recorded which arguments another catalog would have read.
      ...(isChanged(changes.actions) && [before, after].some(isOfArguments) ? ['query and body'] : []),
    ];
    const missing = unknown.length > 0 ? unknown : lacks(before, record, isOfFormer);
    return {
      action: record.action ?? targets[1]?.id ?? 'none',
      agent: circumstances.agent,
      decisions: [before.decision, after.decision],
      missing: [...new Set(missing)].toSorted(),
    };
  };
}

const isChanged = ({ added, removed, changed }: PolicySetChanges): boolean =>
  added.length + removed.length + changed.length > 0;

const isOfArguments = ({ decision }: PartialRehearsal): boolean =>
  isDeny(decision) && decision.reason === 'action.arguments';

const unknownIn = (
  { catalog }: PolicySet,
  { action }: Question,
  { record, doubts }: { readonly record: PlacedUse; readonly doubts: ReadonlySet<Doubt> },
) => unknownValues(record, doubts, catalog.actions.get(action));

/** The labels of earlier actions by this set's catalog. */
const underCatalog = (circumstances: CaseCircumstances, { catalog }: PolicySet): CaseCircumstances => {
  const { actions } = circumstances.history;
  return { ...circumstances, history: { actions, labels: labelsOf(actions, catalog) } };
};

/** Which policies matched, as far as the record tells. */
function matchedBy({ decision, reason, policyIds }: PlacedUse): Known['matched'] {
  const deciding = new Set(policyIds);
  const isNamed = ({ id }: PolicyEntry): boolean => deciding.has(id);
  if (decision === 'allow' || reason === 'policy.not-permitted') return isNamed;
  // If a forbid matches, the record does not name permits.
  return (policy) => (reason === 'policy.forbidden' && policy.effect === 'forbid' ? isNamed(policy) : undefined);
}

type QuestionToSet = readonly [Question | null, PolicySet];

/** Whether both sets put the same request to the engine, entities included, so that equal policies give equal results. */
function isSameRequest(former: QuestionToSet, other: QuestionToSet): boolean {
  const [before, after] = [former, other].map(([question, { facts }]) =>
    question === null
      ? null
      : JSON.stringify(callFrom(question, facts.actionGroups.get(question.action) ?? [], facts.entities)),
  );
  return before !== null && before === after;
}

/** What must have differed if the first set does not repeat the decision. A record of that set names its policies, so these are compared too. */
function lacks({ decision, target }: PartialRehearsal, record: PlacedUse, isOfFormer: boolean): readonly string[] {
  const reason = isDeny(decision) ? decision.reason : null;
  const isSame = decision.kind === record.decision && reason === record.reason;
  const isSameAction = (target?.action.id ?? null) === record.action;
  const isBySame = !isOfFormer || decision.policyIds.join() === record.policyIds.join();
  if (isSame && isSameAction && isBySame) return [];
  return [isOfFormer ? (LACKS.get(record.reason) ?? 'query, headers and body') : 'policy set that decided it'];
}

const LACKS: ReadonlyMap<ReasonCode | null, string> = new Map([
  ['action.unknown', 'query and body'],
  ['action.arguments', 'query and body'],
  ['action.unasked', 'earlier calls of its session'],
  ['action.outside-intent', 'grant of the task'],
  ['token.missing', 'configured binding'],
  ['policy.unavailable', 'state of the policies'],
  ['policy.stale', 'state of the policies'],
  ['policy.expired', 'state of the policies'],
  ['policy.error', 'state of the policies'],
]);
