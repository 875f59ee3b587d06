import { Engine } from '../../../policy/engine.ts';
import type { PolicySet } from '../../../policy/loading/load.ts';
import type { PolicyEntry } from '../../../policy/loading/policy-file.ts';
import { SlicePool } from '../../../policy/pool.ts';
import type { CutPolicy } from '../../explain/probe.ts';
import type { Question } from '../../../policy/question.ts';
import { rawAsker } from '../raw-question.ts';
import type { RawQuestion } from '../raw-question.ts';
import { isProblem } from '../../../token/members.ts';
import type { Matching } from './matching.ts';
import { asPermit } from './mutated-policies.ts';
import type { MutatedPolicy } from './mutated-policies.ts';

/** Something that a mutant may be noticed by: what is asked, and whether it is seen when these policies match. */
export interface Check {
  readonly asked: { readonly question: Question } | { readonly raw: RawQuestion };
  readonly isNoticed: (matching: Matching) => boolean;
}

/** What mutants come to in one question. */
export interface AskedMutants {
  /** The policies as they are. */
  readonly matching: Matching;
  readonly noticed: readonly MutatedPolicy[];
}

type Standing = 'holds' | 'errs' | 'fails';
type Standings = ReadonlyMap<string, Standing>;

/**
 * Puts questions to policies and to mutants of them, all of them at once: each is asked as a permit, and Cedar names every permit
 * that matches and every one that errs. `null` where the engine refuses the question.
 *
 * @param alive those to be asked; one that is taken out later is left out from then on
 */
export function mutantAsker(
  all: readonly CutPolicy[],
  alive: ReadonlySet<MutatedPolicy>,
  policies: Pick<PolicySet, 'hash' | 'facts' | 'schema'>,
): (check: Check) => AskedMutants | null {
  const keyed = new Map<string, PolicyEntry>(all.map((of, index) => [`p${index}`, of.policy]));
  const keyOf = new Map(Array.from(keyed, ([key, policy]) => [policy, key] as const));
  const mutated = [...alive];
  const byKey = new Map(mutated.map((one) => [one.key, one]));
  const byPolicy = Map.groupBy(mutated, ({ of }) => of.policy);
  const standingsOf = asker(
    [
      ...all.map((of, index) => ({ id: `p${index}`, ...asPermit(of) })),
      ...mutated.flatMap(({ key, permit }) => (permit === null ? [] : [{ id: key, ...permit }])),
    ],
    policies,
  );
  return ({ asked, isNoticed }) => {
    const standings = standingsOf(asked);
    if (standings === null) return null;
    const matching = new Map<PolicyEntry, 'holds' | 'errs'>();
    const concerned = new Set<MutatedPolicy>();
    for (const [key, standing] of standings) {
      const policy = keyed.get(key);
      if (policy !== undefined && standing !== 'fails') matching.set(policy, standing);
      const own = byKey.get(key);
      if (own !== undefined) concerned.add(own);
      for (const mutant of policy === undefined ? [] : (byPolicy.get(policy) ?? [])) concerned.add(mutant);
    }
    // Of all mutants of one policy that match alike the answer is the same.
    const known = new Map<string, boolean>();
    const noticed = [...concerned].filter((one) => {
      const { key, of } = one;
      const { policy } = of;
      const standing = standings.get(key) ?? 'fails';
      if (!alive.has(one) || standing === (matching.get(policy) ?? 'fails')) return false;
      const name = `${keyOf.get(policy)} ${standing}`;
      const isSeen = known.get(name) ?? isNoticed(changed(matching, policy, standing));
      known.set(name, isSeen);
      return isSeen;
    });
    return { matching, noticed };
  };
}

function changed(matching: Matching, policy: PolicyEntry, standing: Standing): Matching {
  const after = new Map(matching);
  if (standing === 'fails') after.delete(policy);
  else after.set(policy, standing);
  return after;
}

const standingsFrom = (held: readonly string[], erring: readonly string[]): Standings =>
  new Map([...held.map((id) => [id, 'holds'] as const), ...erring.map((id) => [id, 'errs'] as const)]);

/** Those that hold or err; all others fail. */
function asker(
  permits: readonly ({ readonly id: string } & ReturnType<typeof asPermit>)[],
  { hash, facts, schema }: Pick<PolicySet, 'hash' | 'facts' | 'schema'>,
): (asked: Check['asked']) => Standings | null {
  const reads = { everything: true, roots: new Map() };
  const enginePolicies = permits.map((permit) => ({ ...permit, reads }));
  const rules = { generation: `${hash} mutants`, policies: enginePolicies, ...facts };
  const engine = new Engine(rules, { pool: new SlicePool(), cache: null });
  let raw: ReturnType<typeof rawAsker> | null = null;
  return (asked) => {
    if ('question' in asked) {
      const outcomes = engine.outcomes(asked.question);
      return outcomes === null ? null : standingsFrom(outcomes.reason, outcomes.errors);
    }
    raw ??= rawAsker({ policies: permits.map((permit) => ({ ...permit, shadow: false })), facts, schema });
    const answer = raw(asked.raw);
    return isProblem(answer) ? null : standingsFrom(answer.policyIds, answer.erring);
  };
}
