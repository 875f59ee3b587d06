import { Engine } from '../../../../core/policy/engine.ts';
import type { PolicySet } from '../../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../../core/policy/loading/policy-file.ts';
import { SlicePool } from '../../../../core/policy/pool.ts';
import type { CutPolicy } from '../../explain/probe.ts';
import type { Question } from '../../../../core/policy/question.ts';
import { rawAsker } from '../raw-question.ts';
import type { RawQuestion } from '../raw-question.ts';
import { isProblem } from '../../../../core/runtime/problem.ts';
import type { Matching } from './matching.ts';
import { cutPermit } from './mutated-policies.ts';
import type { MutatedPolicy } from './mutated-policies.ts';

/** A check that can detect mutants: a question, and whether the outcome differs for given matching policies. */
export interface MutantCheck {
  readonly asked: { readonly question: Question } | { readonly raw: RawQuestion };
  readonly isNoticed: (matching: Matching) => boolean;
}

/** The results of mutants for one question. */
export interface AskedMutants {
  /** The matching unmodified policies. */
  readonly matching: Matching;
  readonly noticed: readonly MutatedPolicy[];
}

type PolicyResult = 'holds' | 'errs' | 'fails';
type PolicyResults = ReadonlyMap<string, PolicyResult>;

/**
 * Evaluates policies and their mutants together: each is a permit, and Cedar reports all permits that match or fail. `null`
 * if the engine refuses the question.
 *
 * @param alive mutants to evaluate; removed mutants are skipped from then on
 */
export function mutantAsker(
  all: readonly CutPolicy[],
  alive: ReadonlySet<MutatedPolicy>,
  policies: Pick<PolicySet, 'hash' | 'facts' | 'schema'>,
): (check: MutantCheck) => AskedMutants | null {
  const keyed = new Map<string, PolicyEntry>(all.map((of, index) => [`p${index}`, of.policy]));
  const keyOf = new Map(Array.from(keyed, ([key, policy]) => [policy, key] as const));
  const mutated = [...alive];
  const byKey = new Map(mutated.map((one) => [one.key, one]));
  const byPolicy = Map.groupBy(mutated, ({ of }) => of.policy);
  const resultsOf = asker(
    [
      ...all.map((of, index) => ({ id: `p${index}`, ...cutPermit(of) })),
      ...mutated.flatMap(({ key, permit }) => (permit === null ? [] : [{ id: key, ...permit }])),
    ],
    policies,
  );
  return ({ asked, isNoticed }) => {
    const results = resultsOf(asked);
    if (results === null) return null;
    const matching = new Map<PolicyEntry, 'holds' | 'errs'>();
    const concerned = new Set<MutatedPolicy>();
    for (const [key, result] of results) {
      const policy = keyed.get(key);
      if (policy !== undefined && result !== 'fails') matching.set(policy, result);
      const own = byKey.get(key);
      if (own !== undefined) concerned.add(own);
      for (const mutant of policy === undefined ? [] : (byPolicy.get(policy) ?? [])) concerned.add(mutant);
    }
    // Mutants of one policy with the same result give the same answer.
    const known = new Map<string, boolean>();
    const noticed = [...concerned].filter((one) => {
      const { key, of } = one;
      const { policy } = of;
      const result = results.get(key) ?? 'fails';
      if (!alive.has(one) || result === (matching.get(policy) ?? 'fails')) return false;
      const name = `${keyOf.get(policy)} ${result}`;
      const isSeen = known.get(name) ?? isNoticed(changed(matching, policy, result));
      known.set(name, isSeen);
      return isSeen;
    });
    return { matching, noticed };
  };
}

function changed(matching: Matching, policy: PolicyEntry, result: PolicyResult): Matching {
  const after = new Map(matching);
  if (result === 'fails') after.delete(policy);
  else after.set(policy, result);
  return after;
}

const resultsFrom = (held: readonly string[], erring: readonly string[]): PolicyResults =>
  new Map([...held.map((id) => [id, 'holds'] as const), ...erring.map((id) => [id, 'errs'] as const)]);

/** Those that hold or fail with an error; all others do not match. */
function asker(
  permits: readonly ({ readonly id: string } & ReturnType<typeof cutPermit>)[],
  { hash, facts, schema }: Pick<PolicySet, 'hash' | 'facts' | 'schema'>,
): (asked: MutantCheck['asked']) => PolicyResults | null {
  const reads = { everything: true, roots: new Map() };
  const enginePolicies = permits.map((permit) => ({ ...permit, reads }));
  const rules = { generation: `${hash} mutants`, policies: enginePolicies, ...facts };
  const engine = new Engine(rules, { pool: new SlicePool(), cache: null });
  let raw: ReturnType<typeof rawAsker> | null = null;
  return (asked) => {
    if ('question' in asked) {
      const outcomes = engine.outcomes(asked.question);
      return outcomes === null ? null : resultsFrom(outcomes.reason, outcomes.errors);
    }
    raw ??= rawAsker({ policies: permits.map((permit) => ({ ...permit, shadow: false })), facts, schema });
    const answer = raw(asked.raw);
    return isProblem(answer) ? null : resultsFrom(answer.policyIds, answer.erring);
  };
}
