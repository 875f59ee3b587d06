/** Finds policies, and branches of them, that decide nothing, by proof. */
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { sliceOf } from './action-slice.ts';
import { analysedActions } from './analysis.ts';
import type { AnalysisOptions } from './analysis.ts';
import { branchesOf, withoutBranches } from './branches.ts';
import type { Branch } from './branches.ts';
import { asPermit, impliesIn, matchesAlike } from './policy-implication.ts';
import type { Implies } from './policy-implication.ts';
import type { Prover } from './prover.ts';

/** What decides nothing, and why. */
export type UselessPolicy = { readonly policy: PolicyEntry } & (
  | {
      /** `never`: its conditions contradict each other. `forbidden`: forbids cover all that the permit matches. */
      readonly why: 'never' | 'forbidden';
    }
  /** Other permits allow all that the permit allows: `by` alone, or all of these together. */
  | { readonly why: 'covered'; readonly by: readonly string[] }
  /** The policy matches the same without an operand of `||`: it never holds, or the rest holds too. */
  | { readonly why: 'branch'; readonly branch: Branch }
);

/** The enforced policies that can decide about an action. */
interface Slice {
  readonly action: string;
  readonly policies: readonly PolicyEntry[];
}

/** A policy, and the slices that it is in. */
interface SlicedPolicy {
  readonly policy: PolicyEntry;
  readonly own: readonly Slice[];
}

/**
 * The enforced policies and operands that decide nothing: policies that can match no request (`x && !x`) and never fail; permits
 * that forbids or other permits cover entirely; operands of `||` without which their policy matches the same. Each policy is
 * asked about the actions of its head, until an action is found that it decides, or that stays undecided. Each link of a template
 * is a policy, but an operand is reported once per template, if it decides nothing in any link. All reported permits that others
 * cover can be deleted together, and all reported operands: of two that replace each other, one is reported.
 */
export async function uselessPolicies(
  set: PolicySet,
  prover: Prover,
  { atOnce, onProgress }: Pick<AnalysisOptions, 'atOnce' | 'onProgress'>,
): Promise<readonly UselessPolicy[]> {
  const slices = analysedActions(set.catalog).map((action) => ({ action, policies: sliceOf(set, action) }));
  const enforced = set.policies.filter(({ shadow }) => !shadow);
  const implies = impliesIn(set, prover);
  let done = 0;
  const written = Map.groupBy(enforced, ({ id, link }) =>
    link === undefined ? `policy ${id}` : `template ${link.template}`,
  );
  const found = await mapSeveral([...written.values()], atOnce, async (policies) => {
    const alike = policies.map((policy) => ({
      policy,
      own: slices.filter((slice) => slice.policies.includes(policy)),
    }));
    const whole: UselessPolicy[] = [];
    for (const one of alike) {
      whole.push(...(await uselessBy(one, implies)));
      done += 1;
      onProgress(done, enforced.length);
    }
    return [...(await uselessBranches(alike, whole, implies)), ...whole];
  });
  const all = found.flat();
  const covered = all.filter(({ why }) => why === 'covered').map(({ policy }) => policy);
  const removable = await removableTogether(covered, slices, implies);
  return all.flatMap((one) => (one.why === 'covered' ? (removable.get(one.policy) ?? []) : one));
}

async function uselessBy({ policy, own }: SlicedPolicy, implies: Implies): Promise<readonly UselessPolicy[]> {
  if (own.length === 0) return [];
  const why = await emptiness(policy, own, implies);
  if (why !== null) return [{ policy, why }];
  const isCovered = policy.effect === 'permit' && (await isCoveredBy(policy, own, { implies, by: isOther(policy) }));
  return isCovered ? [{ policy, why: 'covered', by: [] }] : [];
}

/** Why a policy decides nothing, by itself or together with the forbids; `null` if it may decide something. */
async function emptiness(
  policy: PolicyEntry,
  own: readonly Slice[],
  implies: Implies,
): Promise<'never' | 'forbidden' | null> {
  let why: 'never' | 'forbidden' = 'never';
  for (const { action, policies } of own) {
    if ((await implies(action, [asPermit(policy)], [])).kind !== 'proved') {
      why = 'forbidden';
      if (policy.effect === 'forbid') return null;
      if ((await implies(action, [policy, ...forbidsOf(policies)], [])).kind !== 'proved') return null;
    }
    // If it fails it denies what others permit, though it matches nothing.
    if ((await implies(action, [], [asPermit(policy)])).kind !== 'proved') return null;
  }
  return why;
}

const forbidsOf = (policies: readonly PolicyEntry[]): readonly PolicyEntry[] =>
  policies.filter(({ effect }) => effect === 'forbid');

/** The operands of a policy, or of the links of one template, that decide nothing; none if each policy is known to decide nothing. */
async function uselessBranches(
  alike: readonly SlicedPolicy[],
  whole: readonly UselessPolicy[],
  implies: Implies,
): Promise<readonly UselessPolicy[]> {
  const empty = new Set(whole.flatMap(({ policy, why }) => (why === 'covered' ? [] : policy)));
  const asked = alike.filter(({ own }) => own.length > 0);
  const policy = asked.find((one) => !empty.has(one.policy))?.policy;
  if (policy === undefined) return [];
  const dead = new Map<number, Branch>();
  for (const [at, branch] of branchesOf(policy).entries()) {
    if ([...dead.values()].some(({ start, end }) => start <= branch.start && branch.end <= end)) continue;
    // Beside those that are cut already: of two that replace each other one stays.
    if (await matchAlikeWithout(asked, new Set([...dead.keys(), at]), implies)) dead.set(at, branch);
  }
  return Array.from(dead.values(), (branch) => ({ policy, why: 'branch', branch }) as const);
}

/** Whether all of these policies match the same without these operands. Links of a template have the same operands in order. */
async function matchAlikeWithout(
  alike: readonly SlicedPolicy[],
  cut: ReadonlySet<number>,
  implies: Implies,
): Promise<boolean> {
  for (const { policy, own } of alike) {
    const without = withoutBranches(
      policy,
      branchesOf(policy).filter((_branch, at) => cut.has(at)),
    );
    const actions = own.map(({ action }) => action);
    if (!(await matchesAlike(implies, actions, [policy, without]))) return false;
  }
  return true;
}

const isOther =
  (policy: PolicyEntry) =>
  (other: PolicyEntry): boolean =>
    other !== policy && other.effect === 'permit';

/** Whether these other permits, with the forbids, allow all that a permit allows, and no more without it. */
async function isCoveredBy(
  policy: PolicyEntry,
  own: readonly Slice[],
  { implies, by }: { readonly implies: Implies; readonly by: (other: PolicyEntry) => boolean },
): Promise<boolean> {
  for (const { action, policies } of own) {
    const others = policies.filter(by);
    const forbids = forbidsOf(policies);
    if (others.length === 0) return false;
    const rest = [...others, ...forbids];
    if ((await implies(action, [policy, ...forbids], rest)).kind !== 'proved') return false;
    // A permit that can fail denies then, so without it more would be allowed.
    if ((await implies(action, rest, [policy, ...rest])).kind !== 'proved') return false;
  }
  return true;
}

/** Most permits that are asked whether they cover another by themselves. */
const MAX_ALONE = 10;

/** The covered permits that can be deleted together, each with what covers it: checked one by one against what is left. */
async function removableTogether(
  covered: readonly PolicyEntry[],
  slices: readonly Slice[],
  implies: Implies,
): Promise<ReadonlyMap<PolicyEntry, UselessPolicy>> {
  const removed = new Map<PolicyEntry, UselessPolicy>();
  for (const policy of covered) {
    const own = slices.filter(({ policies }) => policies.includes(policy));
    const isLeft = (other: PolicyEntry): boolean => isOther(policy)(other) && !removed.has(other);
    if (removed.size > 0 && !(await isCoveredBy(policy, own, { implies, by: isLeft }))) continue;
    const others = [...new Set(own.flatMap(({ policies }) => policies.filter(isLeft)))];
    const alone = await firstThatCovers(policy, own, { implies, others: others.slice(0, MAX_ALONE) });
    const by = alone === null ? others.map(({ id }) => id) : [alone.id];
    removed.set(policy, { policy, why: 'covered', by });
  }
  return removed;
}

async function firstThatCovers(
  policy: PolicyEntry,
  own: readonly Slice[],
  { implies, others }: { readonly implies: Implies; readonly others: readonly PolicyEntry[] },
): Promise<PolicyEntry | null> {
  for (const other of others) if (await isCoveredBy(policy, own, { implies, by: (one) => one === other })) return other;
  return null;
}
