import type { CatalogAction, Server } from '../../../core/action/catalog/catalog.ts';
import { type Deny, deny, isDeny } from '../../../core/decision/decision.ts';
import type { IssueFacts } from '../../../core/policy/issue-question.ts';
import { lifeSecondsOf, type Task } from '../../../core/task/task.ts';
import { authorizationDetailsFrom, type Constraints } from '../../../core/token/authorization-details.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { actorsOf, delegationFrom } from './ancestors.ts';
import { grantQuestion } from './policy-answers.ts';
import type { GrantPolicies, IssuerServices } from '../services.ts';

/**
 * Asks the policies again whether the task may be issued, for each of its actions and with the context given here. Returns `null` if all are
 * still granted, else the first refusal. An action that the catalog no longer has is refused.
 *
 * Each question takes a turn of its own. The task and its ancestors are the premises of the write that follows.
 *
 * @param task the task after the change
 * @param above its ancestors, nearest first
 */
export async function askAgain(task: Task, above: readonly Task[], services: IssuerServices): Promise<Deny | null> {
  const { policies } = services;
  if (isDeny(policies)) return policies;
  const { catalog } = policies;
  const details = authorizationDetailsFrom(JSON.parse(task.detailsJson));
  if (isProblem(details)) return deny('policy.not-permitted', 'the granted authorization_details are not readable');
  const [actors, delegation] = [actorsOf(task, above), delegationFrom(above)];
  const actions = details.flatMap((detail) => detail.actions);
  for (const detail of details) {
    const server = catalog.serversByAudience.get(detail.locations[0] ?? '');
    for (const id of detail.actions) {
      const action = catalog.actions.get(id);
      if (server === undefined || action?.server !== server) {
        return deny('policy.not-permitted', `the catalog no longer has the action \`${id}\``);
      }
      await services.nextTurn();
      const refusal = refusalOf(
        { task, server, action, constraints: detail.constraints, actions, actors, delegation, policies },
        services,
      );
      if (refusal !== null) return refusal;
    }
  }
  return null;
}

/** Whether the policies refused, as opposed to a fault that kept them from answering. */
export const isRefusal = ({ reason }: Deny): boolean =>
  reason === 'policy.forbidden' || reason === 'policy.not-permitted';

interface AskedGrant {
  readonly task: Task;
  readonly server: Server;
  readonly action: CatalogAction;
  readonly constraints: Constraints;
  readonly actions: readonly string[];
  readonly actors: readonly string[];
  readonly delegation: IssueFacts['delegation'];
  readonly policies: GrantPolicies;
}

function refusalOf(
  { task, server, action, constraints, actions, actors, delegation, policies }: AskedGrant,
  { authority, ports, settings }: IssuerServices,
): Deny | null {
  const secondsLeft = Math.max(0, Math.floor((task.deadlineMs - authority.nowMs()) / 1_000));
  const decision = policies.grant(
    grantQuestion(
      {
        agent: task.agent,
        server,
        purpose: task.purpose,
        actions,
        requested: { action: action.id, risk: action.risk, constraints },
        ttlSeconds: Math.min(settings.tokenSeconds, secondsLeft),
        taskSeconds: lifeSecondsOf(task),
        subject: task.subject,
        subjectAttributes: task.subjectAttributes,
        actors,
        claimed: task.claimed,
        attested: task.attested,
        risk: task.risk,
        delegation,
        // Only a new task is asked about with it.
        stopped: undefined,
        nowMs: ports.nowMs(),
      },
      policies.catalog,
    ),
  );
  return isDeny(decision) ? decision : null;
}
