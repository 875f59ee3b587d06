/** Proves that one set allows nothing beyond another, or finds a request that shows otherwise. */
import type { Cedar } from '../../../core/policy/cedar.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { RawAnswer, RawQuestion } from '../cases/raw-question.ts';
import { mightFail, policiesText, withoutAlike } from './action-slice.ts';
import { assumptionPolicies } from './assumptions.ts';
import { exampleFrom } from './example-text.ts';
import type { Prover } from './prover.ts';

/** A set, as far as it decides about one action. */
export interface AnalysedSet {
  readonly policies: readonly PolicyEntry[];
  /** The real engine over the whole set. */
  readonly answerOf: (question: RawQuestion) => RawAnswer;
}

/** A set that allows nothing. */
export const NOTHING: AnalysedSet = {
  policies: [],
  answerOf: () => ({ decision: 'deny', policyIds: [], erring: [] }),
};

/** A request that one set allows and the other does not, as the real engine answered it. */
export interface CounterExample {
  readonly question: RawQuestion;
  /** The permits of the set that allows it. */
  readonly permitIds: readonly string[];
  /** What the other set answers. */
  readonly other: RawAnswer;
}

/** Whether everything that one set allows is allowed by another. */
export type AnalysisVerdict =
  /** `structure`: by comparing policies, without the solver. */
  | { readonly kind: 'proved'; readonly by: 'structure' | 'solver' }
  | { readonly kind: 'refuted'; readonly example: CounterExample }
  /** What was tried, and how it ended. */
  | { readonly kind: 'undecided'; readonly tried: readonly string[] };

/** What is asked about. */
export interface Implication {
  readonly action: string;
  readonly resourceType: string;
  readonly from: AnalysedSet;
  readonly to: AnalysedSet;
  /** Conditions that every request meets. */
  readonly assumptions: readonly string[];
  readonly cedar: Pick<Cedar, 'policyToJson'>;
}

/** Most permits that are asked about one by one, if the sets as a whole are too much for the solver. */
const MAX_PERMITS = 50;

/**
 * Whether everything that `from` allows of an action is allowed by `to`. A set with a failing policy denies, as Remit does. An
 * example counts only if the real engine answers as the solver says.
 */
export async function impliedBy(prover: Prover, asked: Implication): Promise<AnalysisVerdict> {
  const { from, to } = asked;
  const failing = await failingPolicy(prover, asked);
  if (isStructural(from.policies, to.policies))
    return failing === null ? { kind: 'proved', by: 'structure' } : { kind: 'undecided', tried: [failing] };
  const whole = await asksSolver(prover, asked, from.policies);
  const verdict = whole.kind === 'undecided' ? await permitByPermit(prover, asked, whole.tried) : whole;
  return verdict.kind === 'proved' && failing !== null ? { kind: 'undecided', tried: [failing] } : verdict;
}

/** With no further permit and all forbids of `to`, `from` allows nothing more. */
const isStructural = (from: readonly PolicyEntry[], to: readonly PolicyEntry[]): boolean =>
  withoutAlike(permitsOf(from), permitsOf(to)).length === 0 &&
  withoutAlike(forbidsOf(to), forbidsOf(from)).length === 0;

const permitsOf = (policies: readonly PolicyEntry[]): readonly PolicyEntry[] =>
  policies.filter(({ effect }) => effect === 'permit');
const forbidsOf = (policies: readonly PolicyEntry[]): readonly PolicyEntry[] =>
  policies.filter(({ effect }) => effect === 'forbid');

/**
 * Says which policy that only `to` has might fail: Remit then denies what Cedar would allow. A policy of both sets fails in both.
 */
async function failingPolicy(prover: Prover, { action, resourceType, from, to }: Implication): Promise<string | null> {
  for (const policy of withoutAlike(to.policies, from.policies).filter(mightFail)) {
    const question = { property: 'never-errors', action, resourceType, policies: [policy.text] } as const;
    const answer = await prover.ask(question);
    if (answer.kind === 'fails') return `\`${policy.id}\` can fail for extreme values, and Remit denies then`;
    if (answer.kind === 'undecided') return `whether \`${policy.id}\` can fail: ${answer.why}`;
  }
  return null;
}

async function asksSolver(
  prover: Prover,
  { action, resourceType, to, assumptions, ...asked }: Implication,
  policies: readonly PolicyEntry[],
): Promise<AnalysisVerdict> {
  const texts = [`${policiesText(policies)}\n${assumptionPolicies(action, assumptions)}`, policiesText(to.policies)];
  const answer = await prover.ask({ property: 'implies', action, resourceType, policies: texts });
  const what = `${policies.length} policies against ${to.policies.length}`;
  if (answer.kind === 'holds') return { kind: 'proved', by: 'solver' };
  if (answer.kind === 'undecided') return { kind: 'undecided', tried: [`${what}: ${answer.why}`] };
  const question = exampleFrom(answer.example, asked.cedar);
  if (isProblem(question)) return { kind: 'undecided', tried: [`${what}: ${question.problem}`] };
  const [own, other] = [asked.from.answerOf(question), to.answerOf(question)];
  if (isAllowed(own) && !isAllowed(other))
    return { kind: 'refuted', example: { question, permitIds: own.policyIds, other } };
  return { kind: 'undecided', tried: [`${what}: the engine does not confirm the example of the solver`] };
}

/** Whether an answer allows, as Remit decides: a policy that fails denies. */
export const isAllowed = (answer: RawAnswer): answer is Exclude<RawAnswer, { readonly problem: string }> =>
  !isProblem(answer) && answer.decision === 'allow' && answer.erring.length === 0;

/** Asks about each permit with all forbids: a set allows what at least one of its permits allows with them. */
async function permitByPermit(prover: Prover, asked: Implication, tried: readonly string[]): Promise<AnalysisVerdict> {
  const { from, to } = asked;
  const forbids = forbidsOf(from.policies);
  const isForbidKept = withoutAlike(forbidsOf(to.policies), forbids).length === 0;
  const permits = isForbidKept ? withoutAlike(permitsOf(from.policies), to.policies) : permitsOf(from.policies);
  if (permits.length > MAX_PERMITS)
    return { kind: 'undecided', tried: [...tried, `permit by permit: ${permits.length} are more than ${MAX_PERMITS}`] };
  const all = [...tried];
  for (const permit of permits) {
    const verdict = await asksSolver(prover, asked, [permit, ...forbids]);
    if (verdict.kind === 'refuted') return verdict;
    if (verdict.kind === 'undecided') all.push(...verdict.tried.map((one) => `\`${permit.id}\` alone: ${one}`));
  }
  return all.length === tried.length ? { kind: 'proved', by: 'solver' } : { kind: 'undecided', tried: all };
}
