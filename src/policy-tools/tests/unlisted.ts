import type { CatalogAction } from '../../action/catalog.ts';
import { isDeny } from '../../decision/decision.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { PolicySet } from '../../policy/loading/load.ts';
import { isProblem } from '../../token/members.ts';
import type { Problem } from '../../token/members.ts';
import { rehearse } from './rehearse.ts';
import type { CaseTarget } from './rehearse.ts';
import { DEFAULT_TTL_SECONDS, plainCircumstances } from './test-case.ts';
import type { Attempt, CaseCircumstances, TestCase } from './test-case.ts';

/** A case with what it came to. */
export interface Rehearsed {
  readonly test: TestCase;
  readonly target: CaseTarget | null;
}

/** Something an agent may do that no case says it may. */
export interface UnlistedAllow {
  readonly agent: SpiffeId;
  /** `payments.create`, `issue payments.create` */
  readonly what: string;
  readonly policyIds: readonly string[];
  /** The name of the case whose call it was made with; `null` is the plain call. */
  readonly as: string | null;
}

/** What came of everything that no case lists. */
export interface Unlisted {
  /** How many attempts were made. */
  readonly attempts: number;
  readonly allowed: readonly UnlistedAllow[];
}

/** More attempts than this are refused: the suites then name too many agents for the catalog. */
export const MAX_ATTEMPTS = 50_000;

/** An attempt that some agent makes. */
export interface UnlistedAttempt {
  readonly attempt: Attempt;
  /** `null` is the plain ones of the agent. */
  readonly circumstances: CaseCircumstances | null;
  readonly as: string | null;
}

const keyOf = (agent: string, { action, isIssue }: CaseTarget): string => `${agent} ${whatOf(action, isIssue)}`;
const whatOf = (action: CatalogAction, isIssue: boolean): string => (isIssue ? `issue ${action.id}` : action.id);

/** Something that some agent may not do by the cases, with every way in which it is tried. */
export interface OpenTarget {
  readonly agent: SpiffeId;
  readonly target: CaseTarget;
  readonly all: readonly UnlistedAttempt[];
}

/**
 * What no case lists, all of which must be denied. What an agent may do is listed by the cases that expect an allow: an agent and
 * an action, or an agent and a token for an action. For every other pair of an agent that the suites name and an action of the
 * catalog, the agent makes the plain call to it, and every call to it that any case makes, under the circumstances of that case. A
 * problem where that is more than `MAX_ATTEMPTS`.
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
    ? { problem: `what the suites do not list is ${attempts} calls, more than ${MAX_ATTEMPTS}: name fewer agents` }
    : open;
}

const attemptsOf = (open: readonly OpenTarget[]): number => open.reduce((sum, { all }) => sum + all.length, 0);

/** Tries what no case lists, all of which must be denied. */
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

/** For each action, used and asked for: the plain attempt, then those of the cases. */
function trialsOf(
  rehearsed: readonly Rehearsed[],
  { catalog }: PolicySet,
): readonly { readonly target: CaseTarget; readonly all: readonly UnlistedAttempt[] }[] {
  const ofCases = new Map<string, UnlistedAttempt[]>();
  for (const { test, target } of rehearsed) {
    if (target === null) continue;
    const key = keyOf('', target);
    const trial = { attempt: test.attempt, circumstances: test.circumstances, as: test.name };
    const known = ofCases.get(key);
    if (known === undefined) ofCases.set(key, [trial]);
    else known.push(trial);
  }
  return [...catalog.actions.values()].flatMap((action) =>
    [false, true].map((isIssue) => {
      const target = { action, isIssue };
      const attempt: Attempt = isIssue
        ? { kind: 'issue', action: action.id, ttlSeconds: DEFAULT_TTL_SECONDS, delegation: null }
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

/** Those of the case a trial is of, but for the agent. */
export const circumstancesOf = (agent: SpiffeId, { circumstances }: UnlistedAttempt): CaseCircumstances => ({
  ...(circumstances ?? plainCircumstances(agent)),
  agent,
});
