import { constraintsOn } from '../../../core/action/budget/amount-bound.ts';
import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { Action } from '../../../core/action/http/http.ts';
import { decide } from '../../../core/decide/decide.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import type { Decision } from '../../../core/decision/decision.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { authorize } from '../../../core/policy/authorize.ts';
import type { PolicySet } from '../../../core/policy/loading/load.ts';
import { issueQuestion } from '../../../core/policy/issue-question.ts';
import type { Delegation } from '../../../core/policy/issue-question.ts';
import type { Question } from '../../../core/policy/question.ts';
import type { Constraints } from '../../../core/token/authorization-details.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { caseBindingOf, caseFacts } from './case-facts.ts';
import { grantedActions, names } from './granted-actions.ts';
import type { Attempt, CaseTask, CaseCircumstances } from './test-case.ts';
import { writtenCallOf } from './written-call.ts';

/** The result of an attempt. */
export interface Rehearsal {
  readonly decision: Decision;
  /** The question to the policies; `null` if the call was refused earlier. */
  readonly question: Question | null;
  /** The attempted action; `null` if the call matches none. */
  readonly target: CaseTarget | null;
  /** What limits over all tasks count; `null` if the call was refused before its action was known. */
  readonly limited: LimitedAttempt | null;
}

/** An attempt as limits over all tasks see it: a call, or a task that is declared. */
export type LimitedAttempt = { readonly agent: SpiffeId; readonly user: string } & (
  { readonly kind: 'use'; readonly action: Action } | { readonly kind: 'issue'; readonly server: string }
);

/** An action of the catalog, used or requested. */
export interface CaseTarget {
  readonly action: CatalogAction;
  readonly isIssue: boolean;
}

/**
 * Decides an attempt as the server would: a call with the same `decide`, a token with the same question to the same policies.
 * Spends no budgets and records nothing. A problem if the attempt is impossible with this catalog.
 */
export function rehearse(attempt: Attempt, circumstances: CaseCircumstances, policies: PolicySet): Rehearsal | Problem {
  return attempt.kind === 'issue'
    ? rehearseIssue(attempt, circumstances, policies)
    : rehearseCall(attempt, circumstances, policies);
}

function rehearseCall(
  attempt: Exclude<Attempt, { readonly kind: 'issue' }>,
  circumstances: CaseCircumstances,
  policies: PolicySet,
): Rehearsal | Problem {
  const written = writtenCallOf(attempt, policies.catalog);
  if (isProblem(written)) return written;
  const facts = caseFacts(written, circumstances, policies.catalog);
  const listening = listeningTo(policies);
  const decision = decide(facts, { binding: caseBindingOf(circumstances), policies: listening.policies });
  const action = isDeny(facts.action) ? undefined : policies.catalog.actions.get(facts.action.id);
  return {
    decision,
    question: listening.asked(),
    target: action === undefined ? null : { action, isIssue: false },
    limited: isDeny(facts.action) ? null : { kind: 'use', ...whoOf(circumstances), action: facts.action },
  };
}

function rehearseIssue(
  { action: id, ttlSeconds, taskSeconds, delegation, stopped }: Extract<Attempt, { readonly kind: 'issue' }>,
  { agent, nowMs, task }: CaseCircumstances,
  policies: PolicySet,
): Rehearsal | Problem {
  const action = policies.catalog.actions.get(id);
  if (action === undefined) return { problem: `the catalog has no action \`${id}\`` };
  const actions = intentActions(task, action, policies.catalog);
  const { subject, actors } = chainOf(agent, { task, delegation });
  const question = (constraints: Constraints): Question =>
    issueQuestion(
      {
        agent,
        server: action.server,
        purpose: task.purpose,
        actions,
        requested: { action: id, risk: action.risk, constraints: constraintsOn(action, constraints) },
        ttlSeconds,
        taskSeconds,
        subject,
        actors,
        subjectAttributes: task.subjectAttributes,
        claimed: task.claimed,
        attested: task.attested,
        risk: task.risk,
        delegation: delegation ?? undefined,
        stopped: stopped ?? undefined,
        nowMs,
      },
      policies.catalog,
    );
  const target = { action, isIssue: true };
  const limited: LimitedAttempt = {
    kind: 'issue',
    agent,
    user: subject,
    server: action.server.id,
  };
  // Like the issuer: either all constraints are granted, or none.
  const rehearsed = (constraints: Constraints): Rehearsal => {
    const asked = question(constraints);
    return { decision: authorize(policies, asked), question: asked, target, limited };
  };
  const [first, ...more] = constraintsOf(task, id);
  return more.map(rehearsed).find(({ decision }) => isDeny(decision)) ?? rehearsed(first);
}

/** The agent and the user of a call. With its workload identity alone, an agent is its own user. */
const whoOf = ({ agent, task, credential }: CaseCircumstances): Pick<LimitedAttempt, 'agent' | 'user'> => ({
  agent,
  user: credential.kind === 'workload-identity' ? agent : (task.subject ?? agent),
});

/** For whom the agent acts, and through whom. A sub-task acts for the subject of its parent: by default for the parent itself. */
function chainOf(
  agent: string,
  { task, delegation }: { readonly task: CaseTask; readonly delegation: Delegation | null },
): { readonly subject: string; readonly actors: readonly string[] } {
  const subject = task.subject ?? delegation?.parent ?? agent;
  const chain: readonly string[] = delegation === null ? [agent] : [agent, delegation.parent];
  return { subject, actors: chain.includes(subject) ? chain.slice(0, chain.indexOf(subject)) : chain };
}

/** All actions of the intent. An intent is for one server, and names the action that is asked about. */
function intentActions(
  { actions, details }: CaseTask,
  { id, server }: CatalogAction,
  catalog: PolicySet['catalog'],
): readonly string[] {
  const named = details?.flatMap((entry) => entry.actions) ?? actions ?? [];
  return grantedActions([id, ...named], catalog).filter((one) => catalog.actions.get(one)?.server === server);
}

/** The constraints of each entry of the task that has the action. */
function constraintsOf({ details, constraints }: CaseTask, id: string): readonly [Constraints, ...Constraints[]] {
  const entries = (details ?? []).filter(({ actions }) => actions.some((granted) => names(granted, id)));
  const [first = constraints, ...more] = entries.map((entry) => entry.constraints);
  return [first, ...more];
}

/** The same policies, and the last question put to them. */
function listeningTo(policies: PolicySet): { readonly policies: PolicySet; readonly asked: () => Question | null } {
  let asked: Question | null = null;
  const ask: PolicySet['ask'] = (question) => {
    asked = question;
    return policies.ask(question);
  };
  return { policies: { ...policies, ask }, asked: () => asked };
}
