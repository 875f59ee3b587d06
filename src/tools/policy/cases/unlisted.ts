import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { rehearse } from './rehearse.ts';
import type { CaseTarget } from './rehearse.ts';
import { DEFAULT_LIVES, plainCircumstances } from './test-case.ts';
import type { Attempt, CaseCircumstances, TestCase } from './test-case.ts';

/** A case with its result. */
export interface Rehearsed {
  readonly test: TestCase;
  readonly target: CaseTarget | null;
}

/** Something an agent may do although no case says so. */
export interface UnlistedAllow {
  readonly agent: SpiffeId;
  /** `payments.create`, `issue payments.create` */
  readonly what: string;
  readonly policyIds: readonly string[];
  /** The case whose call was made; `null` for the plain call. */
  readonly as: string | null;
}

/** The result for everything that no case lists. */
export interface Unlisted {
  /** Number of attempts made. */
  readonly attempts: number;
  readonly allowed: readonly UnlistedAllow[];
}

/** Most attempts; with more, the suites name too many agents for the catalog. */
export const MAX_ATTEMPTS = 50_000;

/** An attempt by some agent. */
export interface UnlistedAttempt {
  readonly attempt: Attempt;
  /** `null` for the plain circumstances of the agent. */
  readonly circumstances: CaseCircumstances | null;
  readonly as: string | null;
}

const keyOf = (agent: string, { action, isIssue }: CaseTarget): string => `${agent} ${whatOf(action, isIssue)}`;
const whatOf = (action: CatalogAction, isIssue: boolean): string => (isIssue ? `issue ${action.id}` : action.id);

/** Something an agent must not do by the cases, with all attempts at it. */
export interface OpenTarget {
  readonly agent: SpiffeId;
  readonly target: CaseTarget;
  readonly all: readonly UnlistedAttempt[];
}

/**
 * What no case lists, all of which must be denied. Cases that expect an allow list what an agent may do: a pair of agent and
 * action, used or requested. For every other pair of an agent in the suites and a catalog action, the agent makes the plain
 * call, and every call to it that any case makes, with that case's circumstances. A problem above `MAX_ATTEMPTS`.
 */
export function openTargets(rehearsed: readonly Rehearsed[], policies: PolicySet): readonly OpenTarget[] | Problem {
  const agents = [...new Set(rehearsed.map(({ test }) => test.circumstances.agent))];
  const listed = new Set(
    rehearsed.flatMap(({ test, target }) =>
      target !== null && test.expected.decision === 'allow' ? [keyOf(test.circumstances.agent, target)] : [],
    ),
  );
  const trials = trialsOf(rehearsed, policies);
  const open = agents.flatMap((agent) =>
    trials
      .filter(({ target }) => !listed.has(keyOf(agent, target)))
      .map((of) => ({ agent, target: of.target, all: of.all })),
  );
  const attempts = attemptsOf(open);
  return attempts > MAX_ATTEMPTS
    ? { problem: `there are ${attempts} unlisted calls, more than ${MAX_ATTEMPTS}: name fewer agents` }
    : open;
}

const attemptsOf = (open: readonly OpenTarget[]): number => open.reduce((sum, { all }) => sum + all.length, 0);

/** Tries everything that no case lists; all must be denied. */
export function unlistedAllows(
  rehearsed: readonly Rehearsed[],
  policies: PolicySet,
  onAttempts: (count: number) => void = () => undefined,
): Unlisted | Problem {
  const open = openTargets(rehearsed, policies);
  if (isProblem(open)) return open;
  const allowed: UnlistedAllow[] = [];
  for (const { agent, target, all } of open) {
    const found = all.map((trial) => allowOf(agent, trial, policies)).find((one) => one !== null);
    if (found !== undefined) allowed.push({ agent, what: whatOf(target.action, target.isIssue), ...found });
    onAttempts(all.length);
  }
  return { attempts: attemptsOf(open), allowed };
}

/** For each action, used and requested: the plain attempt, then those of the cases. */
function trialsOf(
  rehearsed: readonly Rehearsed[],
  { catalog }: PolicySet,
): readonly { readonly target: CaseTarget; readonly all: readonly UnlistedAttempt[] }[] {
  const ofCases = new Map<string, UnlistedAttempt[]>();
  const seen = new Set<string>();
  for (const { test, target } of rehearsed) {
    if (target === null) continue;
    const key = keyOf('', target);
    const trial = { attempt: test.attempt, circumstances: test.circumstances, as: test.name };
    // Cases of several agents make one call: it is tried once.
    const same = `${key} ${JSON.stringify([test.attempt, { ...test.circumstances, agent: null }])}`;
    if (seen.has(same)) continue;
    seen.add(same);
    const known = ofCases.get(key);
    if (known === undefined) ofCases.set(key, [trial]);
    else known.push(trial);
  }
  return [...catalog.actions.values()].flatMap((action) =>
    [false, true].map((isIssue) => {
      const target = { action, isIssue };
      const attempt: Attempt = isIssue
        ? { kind: 'issue', action: action.id, ...DEFAULT_LIVES, delegation: null, stopped: null }
        : { kind: 'action', action: action.id, args: {} };
      const plain: UnlistedAttempt = { attempt, circumstances: null, as: null };
      return { target, all: [plain, ...(ofCases.get(keyOf('', target)) ?? [])] };
    }),
  );
}

function allowOf(
  agent: SpiffeId,
  trial: UnlistedAttempt,
  policies: PolicySet,
): Pick<UnlistedAllow, 'policyIds' | 'as'> | null {
  const rehearsal = rehearse(trial.attempt, circumstancesOf(agent, trial), policies);
  if (isProblem(rehearsal) || isDeny(rehearsal.decision)) return null;
  return { policyIds: rehearsal.decision.policyIds, as: trial.as };
}

/** The circumstances of the trial's case, with this agent. */
export const circumstancesOf = (agent: SpiffeId, { circumstances }: UnlistedAttempt): CaseCircumstances => ({
  ...(circumstances ?? plainCircumstances(agent)),
  agent,
});
