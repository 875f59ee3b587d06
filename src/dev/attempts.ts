import { entitiesFrom } from '../core/policy/entities.ts';
import type { Catalog, CatalogAction } from '../core/action/catalog/catalog.ts';
import { isDeny } from '../core/decision/decision.ts';
import { spiffeIdFrom } from '../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../core/identity/spiffe-id.ts';
import type { PolicySet } from '../core/policy/loading/load.ts';
import { rehearse } from '../tools/policy/cases/rehearse.ts';
import { DEFAULT_LIVES, plainCircumstances } from '../tools/policy/cases/test-case.ts';
import type { TestCase, WrittenCall } from '../tools/policy/cases/test-case.ts';
import { writtenCallOf } from '../tools/policy/cases/written-call.ts';
import type { CallAttempt } from '../tools/policy/cases/written-call.ts';
import { isProblem } from '../core/runtime/problem.ts';

/** A call to try: agent, task and expected outcome. */
export interface AttemptToTry {
  readonly agent: SpiffeId;
  readonly action: CatalogAction;
  readonly purpose: string;
  readonly call: WrittenCall;
  /** Whether it needs a task token; otherwise the identity alone is the credential. */
  readonly isInTask: boolean;
  /** `null` if it is allowed; otherwise the reason, or that no token is issued for it. */
  readonly denied: string | null;
}

const MAX_AGENTS = 16;
const MAX_ACTIONS = 200;
const MAX_ALLOWED = 3;
const PURPOSE = 'try it';

/** The agents that a policy folder names in its entities, policies and cases. They come in that order, at most 16. */
export function agentsOf(policies: PolicySet, cases: readonly TestCase[]): readonly SpiffeId[] {
  const named = [
    ...policies.source.entities.flatMap((file) =>
      entitiesFrom(file).entities.flatMap(({ entity }) => (entity.uid.type === 'Remit::Agent' ? [entity.uid.id] : [])),
    ),
    ...policies.policies.flatMap(({ text }) =>
      [...text.matchAll(/Remit::Agent::"(spiffe:\/\/[^"\\]+)"/g)].map((match) => match[1] ?? ''),
    ),
    ...cases.map(({ circumstances }) => circumstances.agent),
  ];
  const ids = [...new Set(named)].map(spiffeIdFrom);
  return ids.filter((id): id is SpiffeId => !isDeny(id)).slice(0, MAX_AGENTS);
}

interface Candidate {
  readonly agent: SpiffeId;
  readonly attempt: CallAttempt;
  readonly purpose: string;
}

/**
 * Calls to try with a policy set, each decided beforehand: those of its cases, and a plain call of each agent to each action.
 * Selects up to three allowed calls, preferring different protocols, and a denied call; without an allowed call, two denied calls.
 */
export function trialsOf(
  policies: PolicySet,
  {
    agents,
    cases,
    nowMs,
  }: { readonly agents: readonly SpiffeId[]; readonly cases: readonly TestCase[]; readonly nowMs: number },
): readonly AttemptToTry[] {
  const allowed: AttemptToTry[] = [];
  const denied: AttemptToTry[] = [];
  for (const candidate of candidatesFrom(policies.catalog, { agents, cases })) {
    const trial = trialOf(policies, candidate, nowMs);
    if (trial === null) continue;
    const chosen = trial.denied === null ? allowed : denied;
    if (!chosen.some(({ action }) => action === trial.action)) chosen.push(trial);
  }
  const kinds = Map.groupBy(allowed, ({ action }) => action.kind);
  const first = [...kinds.values()].flatMap(([one]) => (one === undefined ? [] : [one]));
  const shown = [...first, ...allowed.filter((one) => !first.includes(one))].slice(0, MAX_ALLOWED);
  return [...shown, ...denied.slice(0, shown.length === 0 ? 2 : 1)];
}

function* candidatesFrom(
  catalog: Catalog,
  { agents, cases }: { readonly agents: readonly SpiffeId[]; readonly cases: readonly TestCase[] },
): Generator<Candidate> {
  for (const { attempt, circumstances } of cases) {
    if (attempt.kind === 'issue' || !agents.includes(circumstances.agent)) continue;
    yield { agent: circumstances.agent, attempt, purpose: circumstances.task.purpose };
  }
  const actions = [...catalog.actions.values()].filter(({ isSession }) => !isSession).slice(0, MAX_ACTIONS);
  for (const agent of agents) {
    for (const { id } of actions) yield { agent, attempt: { kind: 'action', action: id, args: {} }, purpose: PURPOSE };
  }
}

function trialOf(policies: PolicySet, { agent, attempt, purpose }: Candidate, nowMs: number): AttemptToTry | null {
  const call = writtenCallOf(attempt, policies.catalog);
  if (isProblem(call)) return null;
  const plain = plainCircumstances(agent);
  const inTask = { ...plain, nowMs, task: { ...plain.task, purpose, ageSeconds: 0 } };
  const found = rehearse({ kind: 'call', ...call }, inTask, policies);
  if (isProblem(found) || found.target === null) return null;
  const { action } = found.target;
  const isInTask = action.accepts.has('task-token');
  if (!isInTask && !action.accepts.has('workload-identity')) return null;
  const circumstances = isInTask
    ? inTask
    : { ...inTask, credential: { ...inTask.credential, kind: 'workload-identity' as const } };
  const used = isInTask ? found : rehearse({ kind: 'call', ...call }, circumstances, policies);
  const issue = { kind: 'issue', action: action.id, ...DEFAULT_LIVES, delegation: null, stopped: null } as const;
  const issued = isInTask ? rehearse(issue, circumstances, policies) : used;
  if (isProblem(used) || isProblem(issued)) return null;
  return { agent, action, purpose, call, isInTask, denied: deniedBy(issued.decision, used.decision) };
}

type Decided = Extract<ReturnType<typeof rehearse>, { readonly decision: unknown }>['decision'];

const deniedBy = (issued: Decided, used: Decided): string | null =>
  isDeny(issued)
    ? issued === used
      ? issued.reason
      : 'invalid_authorization_details'
    : isDeny(used)
      ? used.reason
      : null;
