/** Judges mutants that no test case noticed: by proof they decide alike, or a request shows that they do not. */
import { freshCedar } from '../../../core/policy/cedar.ts';
import type { Cedar } from '../../../core/policy/cedar.ts';
import { scopeFrom } from '../../../core/policy/answers/scope.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import type { Survivor } from '../cases/mutation/mutation.ts';
import { rawAsker } from '../cases/raw-question.ts';
import type { RawAnswer, RawQuestion } from '../cases/raw-question.ts';
import { sliceOf } from './action-slice.ts';
import { analysedActions } from './analysis.ts';
import type { AnalysisOptions } from './analysis.ts';
import { exampleCase } from './example-case.ts';
import type { ExampleCase } from './example-case.ts';
import type { AnalysisVerdict } from './implication.ts';
import { asPermit, impliesIn } from './policy-implication.ts';
import type { Implies } from './policy-implication.ts';
import type { Prover } from './prover.ts';

/** What is known of a mutant. */
export type MutantVerdict =
  /** No request is decided differently with it; a shadow or `@always` policy also matches the same requests. */
  | { readonly kind: 'equivalent' }
  /** A test that passes with the set, and fails with the mutant. */
  | { readonly kind: 'distinguished'; readonly test: ExampleCase }
  /** What was tried, and how it ended. */
  | { readonly kind: 'undecided'; readonly tried: readonly string[] };

/** Most mutants that are judged. */
export const MAX_JUDGED = 1_000;

/**
 * Judges mutants of a set. For each action of the policy's head, it asks whether the changed policy matches the same requests,
 * and if that is not proved, whether the set still decides the same. For a shadow policy and for a forbid with `@always` only the
 * first proof counts: a case may expect the shadow policy, and the forbid is asked by itself for calls that are only observed or
 * cannot be read. A request that the solver shows counts if the real engine decides it differently with the mutant.
 */
export async function judgedMutants(
  set: PolicySet,
  mutants: readonly Survivor[],
  prover: Prover,
  { atOnce, onProgress }: Pick<AnalysisOptions, 'atOnce' | 'onProgress'>,
): Promise<readonly MutantVerdict[]> {
  const implies = impliesIn(set, prover);
  const byId = new Map(set.policies.map((policy) => [policy.id, policy]));
  const cedar = freshCedar();
  const before = engineOf(set);
  let done = 0;
  const asked = mutants.slice(0, MAX_JUDGED);
  const verdicts = await mapSeveral(asked, atOnce, async (mutant): Promise<MutantVerdict> => {
    const policy = byId.get(mutant.policy);
    if (policy === undefined) return { kind: 'undecided', tried: [`the set has no policy \`${mutant.policy}\``] };
    const changed = changedPolicy(policy, mutant.changed, cedar);
    const verdict = await judged({ set, policy, changed, implies, before }, mutant);
    done += 1;
    onProgress(done, asked.length);
    return verdict;
  });
  const isLeft = { kind: 'undecided', tried: [`more than ${MAX_JUDGED} mutants survive`] } as const;
  return [...verdicts, ...mutants.slice(MAX_JUDGED).map(() => isLeft)];
}

interface Judging {
  readonly set: PolicySet;
  readonly policy: PolicyEntry;
  /** `null` if it is left out. */
  readonly changed: PolicyEntry | null;
  readonly implies: Implies;
  /** The real engine over the whole set. */
  readonly before: (question: RawQuestion) => RawAnswer;
}

function changedPolicy(
  policy: PolicyEntry,
  changed: string | null,
  cedar: Pick<Cedar, 'policyToJson'>,
): PolicyEntry | null {
  if (changed === null) return null;
  const json = cedar.policyToJson(changed);
  const text = `@id("${policy.id}") ${changed}`;
  return { ...policy, text, scope: json.type === 'failure' ? policy.scope : scopeFrom(json.json) };
}

async function judged(
  judging: Judging,
  { mutant, policy: id, what }: Pick<Survivor, 'mutant' | 'policy' | 'what'>,
): Promise<MutantVerdict> {
  const { set, policy, changed, implies, before } = judging;
  const after = withChange(set, policy, changed);
  const answerAfter = engineOf(after);
  const tried: string[] = [];
  const alone = [[asPermit(policy)], changed === null ? [] : [asPermit(changed)]] as const;
  const isAlone = policy.shadow || policy.always === true;
  for (const action of actionsOf(judging)) {
    // INVARIANT: one direction proves nothing: for a forbid the set goes the other way, and a failing policy is not covered.
    const matched = await bothWays(implies, action, alone);
    if (matched.every(isProved)) continue;
    const decided = policy.shadow
      ? matched
      : await bothWays(implies, action, [sliceOf(set, action), sliceOf(after, action)]);
    if (!isAlone && decided.every(isProved)) continue;
    for (const question of policy.shadow ? [] : questionsIn([...matched, ...decided])) {
      const [was, then] = [before(question), answerAfter(question)];
      if (!isDistinguished(was, then)) continue;
      const name = `${mutant}: ${id}: ${what}`;
      return { kind: 'distinguished', test: exampleCase(question, { name, decision: was.decision }) };
    }
    tried.push(...(isAlone ? matched : decided).flatMap((verdict) => triedIn(action, verdict)));
  }
  return tried.length === 0 ? { kind: 'equivalent' } : { kind: 'undecided', tried };
}

/** Whether the first policies allow nothing beyond the second, and the reverse. */
async function bothWays(
  implies: Implies,
  action: string,
  [one, other]: readonly [readonly PolicyEntry[], readonly PolicyEntry[]],
): Promise<readonly AnalysisVerdict[]> {
  return [await implies(action, one, other), await implies(action, other, one)];
}

const isProved = ({ kind }: AnalysisVerdict): boolean => kind === 'proved';

/** The real engine over a whole set, which is started when it is first asked. */
function engineOf(set: PolicySet): (question: RawQuestion) => RawAnswer {
  let asker: ((question: RawQuestion) => RawAnswer) | null = null;
  return (question) => (asker ??= rawAsker(set))(question);
}

/** The actions of the head of the policy, or of what it was changed to. */
const actionsOf = ({ set, policy, changed }: Judging): readonly string[] =>
  analysedActions(set.catalog).filter((action) =>
    [policy, ...(changed === null ? [] : [changed])].some(
      (one) => sliceOf({ ...set, policies: [{ ...one, shadow: false }] }, action).length > 0,
    ),
  );

const withChange = (set: PolicySet, policy: PolicyEntry, changed: PolicyEntry | null): PolicySet => ({
  ...set,
  policies: set.policies.flatMap((one) => (one === policy ? (changed ?? []) : one)),
});

const questionsIn = (verdicts: readonly AnalysisVerdict[]): readonly RawQuestion[] =>
  verdicts.flatMap((verdict) => (verdict.kind === 'refuted' ? [verdict.example.question] : []));

/** Whether a test of `cedar run-tests` distinguishes them. Cedar skips a failing policy, so an answer with errors does not. */
const isDistinguished = (was: RawAnswer, then: RawAnswer): was is Exclude<RawAnswer, { readonly problem: string }> =>
  !isProblem(was) && !isProblem(then) && was.erring.length + then.erring.length === 0 && was.decision !== then.decision;

function triedIn(action: string, verdict: AnalysisVerdict): readonly string[] {
  if (verdict.kind === 'proved') return [];
  return verdict.kind === 'undecided'
    ? verdict.tried.map((one) => `${action}: ${one}`)
    : [`${action}: it matches other requests, and no request is known that is decided otherwise`];
}
